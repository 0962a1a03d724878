from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("discover", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="report",
            name="same_as",
            field=models.CharField(blank=True, db_default="", default="", max_length=24),
        ),
        migrations.AddField(
            model_name="report",
            name="pictures",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddIndex(
            model_name="report",
            index=models.Index(fields=["secret"], name="report_secret"),
        ),
    ]
