from django.db import migrations, models

from gridloop.kernel.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("kernel", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("size", models.BigIntegerField(primary_key=True, serialize=False)),
                ("note", models.TextField()),
                ("edge", models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name="LogLeaf",
            fields=[
                ("index", models.BigIntegerField(primary_key=True, serialize=False)),
                ("event_id", models.BigIntegerField(unique=True)),
                ("leaf_hash", models.BinaryField()),
            ],
        ),
        append_only("kernel_event"),
        append_only("kernel_logleaf"),
        append_only("kernel_checkpoint"),
    ]
