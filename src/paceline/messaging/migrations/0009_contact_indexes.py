import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("paceline", "0008_reply_pace"),
    ]

    operations = [
        migrations.AlterField(
            model_name="contact",
            name="number",
            field=models.CharField(max_length=16),
        ),
        migrations.AlterField(
            model_name="membership",
            name="list",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="memberships",
                to="paceline.contactlist",
            ),
        ),
        migrations.AddConstraint(
            model_name="contact",
            constraint=models.UniqueConstraint(fields=("number",), name="one_contact_per_number"),
        ),
    ]
