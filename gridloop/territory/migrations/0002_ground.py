from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("territory", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Component",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("code", models.CharField(max_length=24, unique=True)),
                ("kind", models.CharField(max_length=10)),
                ("name", models.CharField(max_length=120)),
                ("lon", models.FloatField()),
                ("lat", models.FloatField()),
                ("region_code", models.CharField(blank=True, default="", max_length=19)),
                ("managed_by", models.CharField(blank=True, default="", max_length=40)),
                ("condition", models.CharField(blank=True, default="", max_length=12)),
                ("starts_on", models.DateField(blank=True, null=True)),
                ("ends_on", models.DateField(blank=True, null=True)),
                ("synthetic", models.BooleanField(db_default=False, default=False)),
                ("remark", models.CharField(blank=True, db_default="", default="", max_length=200)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["lon", "lat"], name="component_place"),
                    models.Index(fields=["region_code"], name="component_region", opclasses=["varchar_pattern_ops"]),
                ],
            },
        ),
        migrations.CreateModel(
            name="Scenery",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("district", models.CharField(db_index=True, max_length=6)),
                ("kind", models.CharField(max_length=10)),
                ("rank", models.SmallIntegerField(default=1)),
                ("name", models.CharField(blank=True, default="", max_length=60)),
                ("geometry", models.BinaryField()),
                ("west", models.FloatField()),
                ("south", models.FloatField()),
                ("east", models.FloatField()),
                ("north", models.FloatField()),
            ],
        ),
    ]
