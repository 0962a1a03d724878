import django.contrib.postgres.indexes
import django.db.models.deletion
import gridloop.cases.models
from gridloop.cases.rules import lexemes_of
from gridloop.kernel.bulk import insert_rows
from django.conf import settings
from django.db import migrations, models


def remember_words(apps, schema_editor):
    """Make the cases that are there already findable, in slices, so that memory stays flat."""
    words = apps.get_model("cases", "CaseWords")
    rows = apps.get_model("cases", "Case").objects.order_by("id").values_list("id", "number", "text", "address")
    last = 0
    while slice_ := list(rows.filter(id__gt=last)[:5_000]):
        insert_rows([words(case_id=i, lexemes=lexemes_of(number, text, where)) for i, number, text, where in slice_])
        last = slice_[-1][0]
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # an index cannot be made while checks wait


class Migration(migrations.Migration):
    dependencies = [
        ("cases", "0001_initial"),
        ("people", "0002_access_and_notices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CaseWords",
            fields=[
                (
                    "case",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="words",
                        serialize=False,
                        to="cases.case",
                    ),
                ),
                ("lexemes", gridloop.cases.models.Lexemes()),
            ],
        ),
        migrations.RunPython(remember_words, migrations.RunPython.noop),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(blank=True, default="", max_length=60)),
                ("query", models.CharField(blank=True, default="", max_length=1000)),
                ("sort", models.CharField(blank=True, default="", max_length=20)),
                ("columns", models.JSONField(default=list)),
                ("position", models.SmallIntegerField(default=0)),
                ("removed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", True)), fields=["due_at", "id"], name="case_open_due"
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", True)), fields=["unit", "due_at", "id"], name="case_open_unit"
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", True)),
                fields=["region_code", "state"],
                name="case_open_region",
                opclasses=["varchar_pattern_ops", "varchar_ops"],
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", True)),
                fields=["state", "due_at", "id"],
                name="case_open_state",
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(fields=["opened_at", "id"], name="case_opened"),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(fields=["case_type", "opened_at", "id"], name="case_type_opened"),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("asked", ""), _negated=True), fields=["opened_at", "id"], name="case_asked"
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("supervised", True)), fields=["opened_at", "id"], name="case_supervised"
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(("reopened__gt", 0)), fields=["opened_at", "id"], name="case_reopened"
            ),
        ),
        migrations.AddIndex(
            model_name="casewords",
            index=django.contrib.postgres.indexes.GinIndex(fields=["lexemes"], name="case_words"),
        ),
        migrations.AddField(
            model_name="savedview",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.UniqueConstraint(
                condition=models.Q(("removed_at__isnull", True)), fields=("person", "name"), name="saved_view_once"
            ),
        ),
    ]
