from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("paceline", "0010_indexes_by_use"),
    ]

    operations = [
        migrations.AddField(
            model_name="note",
            name="once",
            field=models.CharField(editable=False, max_length=32, null=True),
        ),
        migrations.AddConstraint(
            model_name="note",
            constraint=models.UniqueConstraint(fields=("conversation", "once"), name="once_per_form"),
        ),
    ]
