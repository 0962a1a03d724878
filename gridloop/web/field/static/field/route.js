// Where one is, how far it is, in which order to go, and how another application leads there. Positions stay here.
import { say } from "../shell/say.js";

const RADIUS = 6371008.8;
const rad = (d) => (d * Math.PI) / 180;

/** Metres between two [longitude, latitude] in WGS-84. */
export function distance([ax, ay], [bx, by]) {
  const a = Math.sin(rad(by - ay) / 2) ** 2 + Math.cos(rad(ay)) * Math.cos(rad(by)) * Math.sin(rad(bx - ax) / 2) ** 2;
  return 2 * RADIUS * Math.asin(Math.min(1, Math.sqrt(a)));
}

/** The order in which to visit `places` from `start`: nearest neighbour, then crossings are untied (2-opt). */
export function order(start, places) {
  const rest = places.map((_, n) => n);
  const way = [];
  let here = start ?? places[0];
  while (rest.length) {
    let best = 0;
    for (let n = 1; n < rest.length; n++) if (distance(here, places[rest[n]]) < distance(here, places[rest[best]])) best = n;
    const [next] = rest.splice(best, 1);
    way.push(next);
    here = places[next];
  }
  const at = (n) => (n < 0 ? (start ?? places[way[0]]) : places[way[n]]);
  for (let better = true, rounds = 0; better && rounds < 40; rounds++) {
    better = false;
    for (let i = 0; i < way.length - 1; i++) {
      for (let j = i + 1; j < way.length; j++) {
        const open = j + 1 < way.length; // the way ends at its last place: no way home is counted
        const before = distance(at(i - 1), at(i)) + (open ? distance(at(j), at(j + 1)) : 0);
        const after = distance(at(i - 1), at(j)) + (open ? distance(at(i), at(j + 1)) : 0);
        if (after < before - 0.5) {
          way.splice(i, j - i + 1, ...way.slice(i, j + 1).reverse());
          better = true;
        }
      }
    }
  }
  return way;
}

export const length = (start, places, way) =>
  way.reduce(([sum, here], n) => [sum + (here ? distance(here, places[n]) : 0), places[n]], [0, start])[0];

/** WGS-84 to GCJ-02, the datum of the map applications (the published approximation; zero outside its rectangle). */
export function gcj02([lon, lat]) {
  if (lon < 72.004 || lon > 137.8347 || lat < 0.8293 || lat > 55.8271) return [lon, lat];
  const [x, y] = [lon - 105, lat - 35];
  const wave = (20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI)) * (2 / 3);
  const north =
    -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x)) + wave +
    ((20 * Math.sin(y * Math.PI) + 40 * Math.sin((y / 3) * Math.PI)) * 2) / 3 +
    ((160 * Math.sin((y / 12) * Math.PI) + 320 * Math.sin((y * Math.PI) / 30)) * 2) / 3;
  const east =
    300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x)) + wave +
    ((20 * Math.sin(x * Math.PI) + 40 * Math.sin((x / 3) * Math.PI)) * 2) / 3 +
    ((150 * Math.sin((x / 12) * Math.PI) + 300 * Math.sin((x / 30) * Math.PI)) * 2) / 3;
  const [axis, ecc] = [6378245.0, 0.00669342162296594323];
  const magic = 1 - ecc * Math.sin(rad(lat)) ** 2;
  return [
    lon + (east * 180) / ((axis / Math.sqrt(magic)) * Math.cos(rad(lat)) * Math.PI),
    lat + (north * 180) / (((axis * (1 - ecc)) / (magic * Math.sqrt(magic))) * Math.PI),
  ];
}

/** The applications that can lead the way. The telephone's own is asked in WGS-84, the others in their datum. */
export const GUIDES = {
  geo: [() => say("手机默认", "The telephone's own"), ([x, y]) => `geo:${y},${x}?q=${y},${x}`],
  amap: [() => say("高德地图", "Amap"), (p) => ((g) => `amapuri://route/plan/?dlat=${g[1]}&dlon=${g[0]}&dev=0&t=2`)(gcj02(p))],
  baidu: [() => say("百度地图", "Baidu Maps"), (p) => ((g) => `baidumap://map/direction?destination=latlng:${g[1]},${g[0]}&coord_type=gcj02&mode=walking`)(gcj02(p))],
  tencent: [() => say("腾讯地图", "Tencent Maps"), (p) => ((g) => `qqmap://map/routeplan?type=walk&tocoord=${g[1]},${g[0]}`)(gcj02(p))],
};

const GUIDE = "gridloop.field.guide";
export const guide = () => (localStorage.getItem(GUIDE) in GUIDES ? localStorage.getItem(GUIDE) : "geo");
export const setGuide = (name) => localStorage.setItem(GUIDE, name);
const rounded = ([x, y]) => [Math.round(x * 1e6) / 1e6, Math.round(y * 1e6) / 1e6];
export const guideLink = (place) => GUIDES[guide()][1](rounded(place));

/** Where one is now: [longitude, latitude, accuracy in metres]. Asked for by a person's tap; never kept on disk. */
export function whereAmI() {
  return new Promise((resolve, reject) => {
    if (!navigator.geolocation) return reject(new Error(say("这台设备不能定位。", "This device cannot find its place.")));
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => resolve([coords.longitude, coords.latitude, coords.accuracy]),
      () => reject(new Error(say("没有定到位置：请允许定位，或在地图上选点。", "No position: allow it, or choose the place on the map."))),
      { enableHighAccuracy: true, timeout: 12000, maximumAge: 20000 },
    );
  });
}
