from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("feedback", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="AnswerTemplate",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=60)),
                ("zh", models.TextField()),
                ("en", models.TextField(blank=True, default="")),
                ("verb", models.CharField(blank=True, default="", max_length=30)),
                ("group", models.CharField(blank=True, default="", max_length=60)),
                ("state", models.CharField(blank=True, default="", max_length=16)),
                ("season_from", models.CharField(blank=True, default="", max_length=5)),
                ("season_until", models.CharField(blank=True, default="", max_length=5)),
                ("active", models.BooleanField(default=True)),
                ("changed_by", models.CharField(blank=True, default="", max_length=60)),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("name", "verb"), name="answer_template_once")],
            },
        ),
    ]
