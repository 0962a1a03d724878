// Passkeys: the browser is asked, its answer is sent. Nothing is decided here.
import { say } from "../shell/say.js";
import { postJSON } from "../shell/http.js";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
const named = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

/** Whether this browser, at this address, can have passkeys at all: not by number, and not without encryption. */
export const possible = () =>
  Boolean(window.PublicKeyCredential) && window.isSecureContext && !/^[\d.]+$|:/.test(location.hostname);

function plain(credential) {
  const { response } = credential;
  const told = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
    if (response[name]) told[name] = text(response[name]);
  if (response.getTransports) told.transports = response.getTransports();
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response: told,
    clientExtensionResults: credential.getClientExtensionResults(),
  };
}

/** Show a passkey. */
export async function show({ publicKey }) {
  const options = { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: named(publicKey.allowCredentials) };
  return plain(await navigator.credentials.get({ publicKey: options }));
}

/** Make a passkey. */
export async function make({ publicKey }) {
  const options = {
    ...publicKey,
    challenge: bytes(publicKey.challenge),
    user: { ...publicKey.user, id: bytes(publicKey.user.id) },
    excludeCredentials: named(publicKey.excludeCredentials),
  };
  return plain(await navigator.credentials.create({ publicKey: options }));
}

/** What to say when it did not work: the server's sentence, or that nothing happened. */
export function reason(error) {
  if (error.sentence) return error.sentence;
  if (error.name === "InvalidStateError") return say("这个设备上已有您的通行密钥。", "This device has a passkey of yours already.");
  return say("没有完成，请重试，或换一种方式。", "That was not finished. Try again, or choose another way.");
}

const [wait, problem] = [(button, on) => (button.disabled = on), document.querySelector("[data-passkey-error]")];

for (const button of document.querySelectorAll("button[data-passkey]")) {
  if (!possible()) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    wait(button, true);
    problem.textContent = "";
    const address = new URL(button.dataset.passkey, location.href);
    try {
      const answer = await show(await postJSON(address.href, {}));
      address.pathname += "/answer";
      if (button.dataset.next) address.searchParams.set("next", button.dataset.next);
      const { next } = await postJSON(address.href, answer);
      location.assign(next);
    } catch (error) {
      problem.textContent = reason(error);
      wait(button, false);
    }
  });
}
