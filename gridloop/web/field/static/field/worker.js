// The service worker. VERSION and KEPT come before this text: what the application needs to open without a link.
// It keeps the shell only. What is asked below /field/api/ is about persons and never goes through a cache.
const CACHE = `gridloop-field-${VERSION}`;
const PAGE = "/field/";

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => Promise.all(KEPT.map((address) => keep(cache, address)))).then(() => self.skipWaiting()),
  );
});

async function keep(cache, address) {
  const response = await fetch(address, { cache: address === PAGE ? "no-store" : "default", credentials: "same-origin" });
  if (!response.ok || response.redirected) throw new Error(`${address}: ${response.status}`);
  await cache.put(address, response);
}

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((n) => n.startsWith("gridloop-field-") && n !== CACHE).map((n) => caches.delete(n))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  if (event.request.method !== "GET" || address.origin !== location.origin) return;
  if (address.pathname.startsWith("/field/api/")) return;
  if (event.request.mode === "navigate") {
    if (address.pathname === PAGE || address.pathname.startsWith("/field/c/")) event.respondWith(shell(event.request));
    return;
  }
  if (address.pathname.startsWith("/static/")) event.respondWith(fromCache(event.request));
});

async function shell(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(PAGE, { ignoreVary: true })) ?? fetch(request);
}

async function fromCache(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreSearch: true, ignoreVary: true })) ?? fetch(request);
}

// Another language or other colours were chosen: fetch the page anew, if it still belongs to this version.
self.addEventListener("message", (event) => {
  if (event.data !== "page") return;
  event.waitUntil(
    (async () => {
      try {
        const response = await fetch(PAGE, { cache: "no-store", credentials: "same-origin" });
        const text = await response.clone().text();
        if (response.ok && text.includes(`/static/${VERSION}/`)) await (await caches.open(CACHE)).put(PAGE, response);
      } finally {
        event.source?.postMessage("page");
      }
    })(),
  );
});
