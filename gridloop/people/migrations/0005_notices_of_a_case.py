from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("people", "0004_accounts_and_ways_out")]

    operations = [
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(
                fields=["case_id"], condition=models.Q(("case_id__isnull", False)), name="notice_of_case"
            ),
        ),
    ]
