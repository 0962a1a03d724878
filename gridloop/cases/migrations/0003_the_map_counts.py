from django.db import migrations, models

# What a row counts as on the map: square, kind, region and unit. The numbers of kinds are those of cases.pyramid.
_KEY = """
CREATE FUNCTION gridloop_map_kind(c cases_case) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT (CASE
        WHEN c.state IN ('reported', 'pending_verify', 'pending_filing', 'pending_dispatch') THEN 0
        WHEN c.state IN ('dispatched', 'handling') THEN 10
        WHEN c.state IN ('suspended', 'returned', 'rework') THEN 20
        WHEN c.state IN ('handled', 'pending_close') THEN 30
        ELSE 40 END
    + CASE
        WHEN c.closed_at IS NOT NULL THEN 5
        WHEN c.paused_at IS NOT NULL THEN 4
        WHEN c.overdue_at IS NOT NULL THEN 3
        WHEN c.due_at IS NULL THEN 0
        WHEN c.warn_at IS NULL THEN 2
        ELSE 1 END)::smallint $$;

CREATE FUNCTION gridloop_map_x(lon double precision, level integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT floor((lon + 180) / 360 * (1 << level))::integer $$;

CREATE FUNCTION gridloop_map_y(lat double precision, level integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT floor((1 - asinh(tand(least(greatest(lat, -85.05), 85.05))) / pi()) / 2 * (1 << level))::integer $$;

CREATE FUNCTION gridloop_map_opened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cases_mapchange (x, y, kind, region_code, unit_id, n)
    SELECT gridloop_map_x(c.lon, 20), gridloop_map_y(c.lat, 20), gridloop_map_kind(c), left(c.region_code, 16),
           coalesce(c.unit_id, 0), count(*)
    FROM rows_now c WHERE c.lon IS NOT NULL AND c.lat IS NOT NULL GROUP BY 1, 2, 3, 4, 5;
    RETURN NULL;
END $$;

CREATE FUNCTION gridloop_map_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cases_mapchange (x, y, kind, region_code, unit_id, n)
    SELECT gridloop_map_x(v.lon, 20), gridloop_map_y(v.lat, 20), v.kind, left(v.region_code, 16), v.unit, sum(v.n)
    FROM (
        SELECT c.lon, c.lat, gridloop_map_kind(c) AS kind, c.region_code, coalesce(c.unit_id, 0) AS unit, -1 AS n
        FROM rows_before c
        UNION ALL
        SELECT c.lon, c.lat, gridloop_map_kind(c), c.region_code, coalesce(c.unit_id, 0), 1 FROM rows_now c
    ) v
    WHERE v.lon IS NOT NULL AND v.lat IS NOT NULL GROUP BY 1, 2, 3, 4, 5 HAVING sum(v.n) <> 0;
    RETURN NULL;
END $$;

CREATE FUNCTION gridloop_map_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cases_mapchange (x, y, kind, region_code, unit_id, n)
    SELECT gridloop_map_x(c.lon, 20), gridloop_map_y(c.lat, 20), gridloop_map_kind(c), left(c.region_code, 16),
           coalesce(c.unit_id, 0), -count(*)
    FROM rows_before c WHERE c.lon IS NOT NULL AND c.lat IS NOT NULL GROUP BY 1, 2, 3, 4, 5;
    RETURN NULL;
END $$;

CREATE TRIGGER cases_case_map_opened AFTER INSERT ON cases_case
    REFERENCING NEW TABLE AS rows_now FOR EACH STATEMENT EXECUTE FUNCTION gridloop_map_opened();
CREATE TRIGGER cases_case_map_moved AFTER UPDATE ON cases_case
    REFERENCING OLD TABLE AS rows_before NEW TABLE AS rows_now
    FOR EACH STATEMENT EXECUTE FUNCTION gridloop_map_moved();
CREATE TRIGGER cases_case_map_removed AFTER DELETE ON cases_case
    REFERENCING OLD TABLE AS rows_before FOR EACH STATEMENT EXECUTE FUNCTION gridloop_map_removed();

INSERT INTO cases_mappart (level, y, x, kind, region_code, unit_id, n)
    SELECT level, gridloop_map_y(c.lat, level), gridloop_map_x(c.lon, level), gridloop_map_kind(c),
           left(c.region_code, 16), coalesce(c.unit_id, 0), count(*)
    FROM cases_case c, unnest(ARRAY[14, 16, 18, 20]) AS level
    WHERE c.lon IS NOT NULL AND c.lat IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6;
INSERT INTO cases_maptotal (level, y, x, kind, n)
    SELECT wide, p.y >> (14 - wide), p.x >> (14 - wide), p.kind, sum(p.n)
    FROM cases_mappart p, unnest(ARRAY[8, 10, 12, 14]) AS wide WHERE p.level = 14 GROUP BY 1, 2, 3, 4;
INSERT INTO cases_maptotal (level, y, x, kind, n)
    SELECT p.level, p.y, p.x, p.kind, sum(p.n) FROM cases_mappart p WHERE p.level > 14 GROUP BY 1, 2, 3, 4;
"""

_NO_KEY = """
DROP TRIGGER cases_case_map_opened ON cases_case;
DROP TRIGGER cases_case_map_moved ON cases_case;
DROP TRIGGER cases_case_map_removed ON cases_case;
DROP FUNCTION gridloop_map_opened();
DROP FUNCTION gridloop_map_moved();
DROP FUNCTION gridloop_map_removed();
DROP FUNCTION gridloop_map_kind(cases_case);
DROP FUNCTION gridloop_map_x(double precision, integer);
DROP FUNCTION gridloop_map_y(double precision, integer);
"""


class Migration(migrations.Migration):
    dependencies = [("cases", "0002_work_lists")]

    operations = [
        migrations.CreateModel(
            name="MapChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("x", models.IntegerField()),
                ("y", models.IntegerField()),
                ("kind", models.SmallIntegerField()),
                ("region_code", models.CharField(max_length=16)),
                ("unit_id", models.BigIntegerField()),
                ("n", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="MapTotal",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("level", models.SmallIntegerField()),
                ("y", models.IntegerField()),
                ("x", models.IntegerField()),
                ("kind", models.SmallIntegerField()),
                ("n", models.IntegerField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("level", "y", "x", "kind"), name="map_total_once")],
            },
        ),
        migrations.CreateModel(
            name="MapPart",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("level", models.SmallIntegerField()),
                ("y", models.IntegerField()),
                ("x", models.IntegerField()),
                ("kind", models.SmallIntegerField()),
                ("region_code", models.CharField(max_length=16)),
                ("unit_id", models.BigIntegerField()),
                ("n", models.IntegerField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["level", "unit_id"], name="map_part_unit"),
                    models.Index(
                        fields=["level", "region_code"],
                        name="map_part_region",
                        opclasses=["int2_ops", "varchar_pattern_ops"],
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("level", "y", "x", "kind", "region_code", "unit_id"), name="map_part_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(_KEY, _NO_KEY),
        migrations.RunSQL(
            "CREATE INDEX case_place ON cases_case USING spgist (point(lon, lat))", "DROP INDEX case_place"
        ),
        migrations.RunSQL(
            "CREATE INDEX case_open_place ON cases_case USING spgist (point(lon, lat)) WHERE closed_at IS NULL",
            "DROP INDEX case_open_place",
        ),
    ]
