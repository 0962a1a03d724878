from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("handle", "0003_copies_and_fingerprints")]

    operations = [
        migrations.CreateModel(
            name="ReportPicture",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=64)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.IntegerField()),
                ("sent_at", models.DateTimeField(null=True)),
                ("evidence_id", models.BigIntegerField(null=True)),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("sent_at__isnull", True)), fields=["at"], name="report_picture_unsent"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("key", "sha256"), name="report_picture_once"),
                ],
            },
        ),
    ]
