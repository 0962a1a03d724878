// The four datums of coordinates, as the server has them (kernel.coordinates): inside all is WGS-84.
import { say } from "../shell/say.js";

export const DATUMS = { wgs84: "WGS-84", cgcs2000: "CGCS2000", gcj02: "GCJ-02", bd09: "BD-09" };

const A = 6378245.0;
const EE = 0.00669342162296594323;
const SPIRAL = (Math.PI * 3000) / 180;
const { sin, cos, sqrt, abs, atan2, PI } = Math;

function shift(lon, lat) {
  const x = lon - 105;
  const y = lat - 35;
  const wave = (20 * sin(6 * x * PI) + 20 * sin(2 * x * PI)) * (2 / 3);
  let north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + wave;
  north += ((20 * sin(y * PI) + 40 * sin((y / 3) * PI)) * 2) / 3 + ((160 * sin((y / 12) * PI) + 320 * sin((y * PI) / 30)) * 2) / 3;
  let east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + wave;
  east += ((20 * sin(x * PI) + 40 * sin((x / 3) * PI)) * 2) / 3 + ((150 * sin((x / 12) * PI) + 300 * sin((x / 30) * PI)) * 2) / 3;
  const rad = (lat / 180) * PI;
  const magic = 1 - EE * sin(rad) ** 2;
  return [(east * 180) / ((A / sqrt(magic)) * cos(rad) * PI), (north * 180) / (((A * (1 - EE)) / (magic * sqrt(magic))) * PI)];
}

/** A WGS-84 place in another datum, as [lon, lat] in degrees. */
export function fromWgs84(lon, lat, datum) {
  const inside = lon >= 72.004 && lon <= 137.8347 && lat >= 0.8293 && lat <= 55.8271;
  if (datum === "wgs84" || datum === "cgcs2000") return [lon, lat];
  const [east, north] = inside ? shift(lon, lat) : [0, 0];
  const x = lon + east;
  const y = lat + north;
  if (datum === "gcj02") return [x, y];
  const r = sqrt(x * x + y * y) + 0.00002 * sin(y * SPIRAL);
  const turn = atan2(y, x) + 0.000003 * cos(x * SPIRAL);
  return [r * cos(turn) + 0.0065, r * sin(turn) + 0.006];
}

/** The place as it is shown and copied: "113.715032, 34.712044". */
export const written = (lon, lat, datum) => fromWgs84(lon, lat, datum).map((v) => v.toFixed(6)).join(", ");

export const datumHint = (datum) =>
  datum === "gcj02"
    ? say("高德、腾讯地图", "AMap, Tencent")
    : datum === "bd09"
      ? say("百度地图", "Baidu")
      : datum === "cgcs2000"
        ? say("天地图、国家大地坐标", "Tianditu, the national datum")
        : say("卫星定位", "satellite positioning");
