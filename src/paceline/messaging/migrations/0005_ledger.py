import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from paceline.messaging import hashes

REASONS = [("opt-out", "Opt Out"), ("provider", "Provider"), ("manual", "Manual"), ("erased", "Erased")]
CHUNK = 500


def carry_over(apps, schema_editor):
    """Every entry gets the hash that it is found by from now on, and the first line of its history."""
    Suppression = apps.get_model("paceline", "Suppression")
    LedgerEntry = apps.get_model("paceline", "LedgerEntry")
    if not Suppression.objects.exists():
        return
    key = hashes.fingerprint()
    apps.get_model("paceline", "LedgerKey").objects.get_or_create(fingerprint=key)
    last = 0
    while part := list(Suppression.objects.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        last = part[-1].pk
        for entry, hashed in zip(part, hashes.of_all(entry.number for entry in part), strict=True):
            entry.number_hash, entry.hashed_with, entry.said_at = hashed, key, entry.created_at
        Suppression.objects.bulk_update(part, ["number_hash", "hashed_with", "said_at"])
        LedgerEntry.objects.bulk_create(
            LedgerEntry(
                number=entry.number,
                number_hash=entry.number_hash,
                scope_key=entry.scope_key,
                what="added",
                reason=entry.reason,
                evidence=entry.evidence,
                at=entry.created_at,
                hashed_with=key,
            )
            for entry in part
        )


def drop_what_did_not_exist(apps, schema_editor):
    """Before scopes there was one entry for a number, in force everywhere, and none without a number."""
    apps.get_model("paceline", "Suppression").objects.exclude(scope_key="all").delete()
    apps.get_model("paceline", "Suppression").objects.filter(number="").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("paceline", "0004_fewer_indexes"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(max_length=16, unique=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(blank=True, max_length=16)),
                ("number_hash", models.CharField(db_index=True, max_length=64)),
                ("scope_key", models.CharField(max_length=32)),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("added", "Added"),
                            ("lifted", "Lifted"),
                            ("confirmed", "Confirmed"),
                            ("erased", "Erased"),
                        ],
                        max_length=9,
                    ),
                ),
                ("reason", models.CharField(choices=REASONS, max_length=12)),
                ("evidence", models.TextField(blank=True)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("hashed_with", models.CharField(max_length=16)),
            ],
            options={"verbose_name_plural": "ledger entries"},
        ),
        migrations.AddField(
            model_name="suppression",
            name="number_hash",
            field=models.CharField(default="", editable=False, max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="suppression",
            name="scope_key",
            field=models.CharField(default="all", editable=False, max_length=32),
        ),
        migrations.AddField(
            model_name="suppression",
            name="list",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="paceline.contactlist",
            ),
        ),
        migrations.AddField(
            model_name="suppression",
            name="needs_review",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name="suppression",
            name="said_at",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.AddField(
            model_name="suppression",
            name="hashed_with",
            field=models.CharField(default="", editable=False, max_length=16),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="suppression",
            name="reason",
            field=models.CharField(choices=REASONS, default="manual", max_length=12),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="suppression",
            name="number",
            field=models.CharField(blank=True, db_index=True, max_length=16),
        ),
        migrations.RunPython(migrations.RunPython.noop, drop_what_did_not_exist),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.UniqueConstraint(fields=("number_hash", "scope_key"), name="once_per_scope"),
        ),
    ]
