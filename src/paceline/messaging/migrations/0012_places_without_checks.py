import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("paceline", "0011_note_once"),
    ]

    operations = [
        migrations.AlterField(
            model_name="membership",
            name="contact",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="memberships",
                to="paceline.contact",
            ),
        ),
        migrations.AlterField(
            model_name="membership",
            name="list",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="memberships",
                to="paceline.contactlist",
            ),
        ),
    ]
