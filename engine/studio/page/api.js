// The server's HTTP interface. A token in the page's address goes along with every request.

const token = new URLSearchParams(location.search).get("token") ?? "";

/** The address of `path` with the token, for what cannot send a header: sockets, and addresses handed on. */
export function withToken(path, base = location.href) {
  const url = new URL(path, base);
  if (token) url.searchParams.set("token", token);
  return url.href;
}

/** Asks and returns the JSON answer. Throws an Error with the server's own line, or says that there is no answer. */
export async function ask(path, { method = "GET", json, body, type, keepalive = false } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  else if (type) headers["Content-Type"] = type;
  let response;
  try {
    response = await fetch(path, { method, headers, body: json === undefined ? body : JSON.stringify(json), keepalive });
  } catch {
    throw new Error("The studio does not answer");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The studio answered ${response.status}`);
  return answer;
}

/** An address for an <img>. With a token the picture is fetched, so that the token stays out of the document. */
export async function pictureAddress(path) {
  if (!token) return path;
  const response = await fetch(path, { headers: { Authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`no picture at ${path}`);
  return URL.createObjectURL(await response.blob());
}

/**
 * Sends changed controls: one request at a time, what changes meanwhile goes together in the next. So a slider that is
 * dragged is never ahead of the server by more than one request. `done()` follows the last, `failed(error)` each refused.
 */
export class Patches {
  #waiting = {};
  busy = false;

  constructor(done, failed) {
    this.done = done;
    this.failed = failed;
  }

  async send(values) {
    Object.assign(this.#waiting, values);
    if (this.busy) return;
    this.busy = true;
    while (Object.keys(this.#waiting).length) {
      const json = this.#waiting;
      this.#waiting = {};
      await ask("/api/controls", { method: "PATCH", json }).catch(this.failed);
    }
    this.busy = false;
    this.done();
  }
}
