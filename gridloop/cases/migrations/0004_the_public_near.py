from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cases", "0003_the_map_counts")]

    operations = [
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("filed_at__isnull", False)), fields=["cell"], name="case_public_near"
            ),
        ),
    ]
