// A real OpenID provider on this machine. Arguments: its port, and the address to which it sends people back.
import Provider from "oidc-provider";

const [port, back] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: "gridloop", client_secret: "a-secret-for-tests", redirect_uris: [back] }],
  claims: { openid: ["sub"], profile: ["preferred_username"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: `subject-of-${id}`, preferred_username: id }) }),
  cookies: { keys: ["a key for tests"] },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
