// JSON Web Tokens, HS256, by hand.
import { createHmac } from "node:crypto";
import { SECRET } from "./config.mjs";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export function mint(claims, { secret = SECRET, header = { alg: "HS256", typ: "JWT" } } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part(header)}.${part({ iat: now, exp: now + 600, ...claims })}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
