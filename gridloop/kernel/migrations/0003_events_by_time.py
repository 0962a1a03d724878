from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("kernel", "0002_the_sealed_log")]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=BrinIndex(fields=["at"], name="event_at", pages_per_range=32, autosummarize=True),
        )
    ]
