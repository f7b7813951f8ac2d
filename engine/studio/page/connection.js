// The line to the server: a socket for what is measured and set, a WebRTC session for the picture. Both come back alone.

import { ask, withToken } from "/page/api.js";

const WAITS = [300, 700, 1500, 3000, 5000]; // ms before the next try
const DISCONNECTED = 4000; // ms that a session may be cut off before a new one is made
const GATHERING = 1000; // ms to look for own addresses
const PER_PIXEL = 8; // bits a second that a camera is worth: more is work at both ends, and paint shows none of it

/**
 * Events: `state` (detail {state, error}: connecting, open, live, lost), `status` and `controls` (the server's messages),
 * `stream` (the painted MediaStream, or null when it is gone).
 */
export class Connection extends EventTarget {
  #role = null;
  #local = null;
  #peer = null;
  #session = null;
  #socket = null;
  #tries = 0;
  #round = 0; // a session made for an earlier round is thrown away
  #timer = 0;

  open() {
    this.#state("connecting");
    this.#dial();
    addEventListener("pagehide", () => this.#end());
  }

  /** Takes part as "camera" (with its MediaStream) or "viewer", now and after every loss. */
  join(role, local = null) {
    this.#role = role;
    this.#local = local;
    this.#tries = 0;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#negotiate();
  }

  leave() {
    this.#role = null;
    this.#local = null;
    this.#end();
    this.#state("open");
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #state(state, error = "") {
    this.#emit("state", { state, error });
  }

  #wait() {
    return WAITS[Math.min(this.#tries++, WAITS.length - 1)];
  }

  #dial() {
    const address = withToken("/api/live").replace(/^http/, "ws");
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.onopen = () => {
      this.#tries = 0;
      this.#state("open");
      if (this.#role) this.#negotiate();
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "status" || message.type === "controls") this.#emit(message.type, message);
    };
    socket.onclose = async () => {
      this.#end();
      this.#state("lost");
      setTimeout(() => this.#dial(), this.#wait());
      // a socket does not say why it was refused: a wrong token, too many listeners
      await ask("/api/status").catch((error) => this.#socket === socket && this.#state("lost", error.message));
    };
  }

  async #negotiate() {
    this.#end();
    const round = this.#round;
    this.#state("connecting");
    const peer = new RTCPeerConnection();
    this.#peer = peer;
    try {
      this.#offerTracks(peer);
      peer.ontrack = ({ streams, track, receiver }) => this.#arrived(peer, streams[0] ?? new MediaStream([track]), receiver);
      peer.onconnectionstatechange = () => this.#watch(peer);
      const { session, ...answer } = await offered(peer, this.#role);
      if (round !== this.#round) {
        hangUp(session);
        return;
      }
      this.#session = session;
      await peer.setRemoteDescription(answer);
    } catch (error) {
      if (round === this.#round) this.#again(error.message);
    }
  }

  #offerTracks(peer) {
    if (this.#role !== "camera") {
      peer.addTransceiver("video", { direction: "recvonly" });
      peer.addTransceiver("audio", { direction: "recvonly" });
      return;
    }
    for (const track of this.#local.getTracks()) {
      const sender = peer.addTrack(track, this.#local);
      if (track.kind !== "video") continue;
      track.contentHint = "motion";
      const parameters = sender.getParameters();
      const { width = 640, height = 480 } = track.getSettings();
      for (const encoding of parameters.encodings ?? []) encoding.maxBitrate = Math.min(width * height * PER_PIXEL, 6_000_000);
      sender.setParameters(parameters).catch(() => {}); // a wish: browsers that refuse it send with their own limit
    }
  }

  #arrived(peer, stream, receiver) {
    if (peer !== this.#peer) return;
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0; // the newest frame counts
    this.#emit("stream", stream);
  }

  #watch(peer) {
    if (peer !== this.#peer) return;
    clearTimeout(this.#timer);
    const state = peer.connectionState;
    if (state === "connected") {
      this.#tries = 0;
      this.#state("live");
    } else if (state === "failed" || state === "closed") {
      this.#again("The picture's connection was lost");
    } else if (state === "disconnected") {
      this.#timer = setTimeout(() => this.#again("The picture's connection was lost"), DISCONNECTED);
    }
  }

  /** Another session after a while; the socket, when it is gone too, has its own way back. */
  #again(error) {
    this.#end();
    this.#state("lost", error);
    this.#timer = setTimeout(() => {
      if (this.#role && this.#socket.readyState === WebSocket.OPEN) this.#negotiate();
    }, this.#wait());
  }

  #end() {
    this.#round += 1;
    clearTimeout(this.#timer);
    if (this.#session) hangUp(this.#session);
    this.#session = null;
    if (!this.#peer) return;
    this.#peer.onconnectionstatechange = null;
    this.#peer.close();
    this.#peer = null;
    this.#emit("stream", null);
  }
}

/** Offers what `peer` has, as `role`. Returns {sdp, type, session}; throws an Error. */
export async function offered(peer, role) {
  await peer.setLocalDescription();
  await gathered(peer);
  const { sdp, type } = peer.localDescription;
  return ask("/api/offer", { method: "POST", json: { sdp, type, role } });
}

/** Tells the server, which finds out by itself when it does not hear it. */
export function hangUp(session) {
  ask(`/api/sessions/${encodeURIComponent(session)}`, { method: "DELETE", keepalive: true }).catch(() => {});
}

function gathered(peer) {
  return new Promise((resolve) => {
    const done = () => peer.iceGatheringState === "complete" && resolve();
    peer.onicegatheringstatechange = done;
    setTimeout(resolve, GATHERING);
    done();
  });
}
