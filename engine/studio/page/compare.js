// Before and after of one instant: they come side by side in one picture, and only while somebody looks.

import { hangUp, offered } from "/page/connection.js";

const AGAIN = 1000; // ms before the next try

export class Compare {
  share = 50; // percent of the picture, from the left, that is shown as it was before
  mirrored = false;
  #canvas;
  #shown;
  #video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  #wanted = false;
  #peer = null;
  #session = "";
  #timer = 0;

  /** `shown(on)` is called when there is a picture on `canvas`, and when there is none any more. */
  constructor(canvas, shown) {
    this.#canvas = canvas;
    this.#shown = shown;
  }

  get wanted() {
    return this.#wanted;
  }

  set wanted(on) {
    if (on === this.#wanted) return;
    this.#wanted = on;
    if (on) this.#open();
    else this.#close();
  }

  async #open() {
    const peer = new RTCPeerConnection();
    this.#peer = peer;
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.ontrack = ({ track, receiver }) => {
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.#video.srcObject = new MediaStream([track]);
      this.#video.play().catch(() => {}); // it is let go before it plays
      this.#next(peer);
    };
    peer.onconnectionstatechange = () => peer.connectionState === "failed" && this.#again(peer);
    try {
      const { session, ...answer } = await offered(peer, "compare");
      if (peer !== this.#peer) return hangUp(session);
      this.#session = session;
      await peer.setRemoteDescription(answer);
    } catch {
      this.#again(peer);
    }
  }

  #close() {
    clearTimeout(this.#timer);
    if (this.#session) hangUp(this.#session);
    this.#peer?.close();
    this.#peer = null;
    this.#session = "";
    this.#video.srcObject = null;
    this.#shown(false);
  }

  #again(peer) {
    if (peer !== this.#peer) return;
    this.#close();
    this.#timer = setTimeout(() => this.#wanted && this.#open(), AGAIN);
  }

  #next(peer) {
    this.#video.requestVideoFrameCallback(() => {
      if (peer !== this.#peer) return;
      this.draw();
      this.#shown(true);
      this.#next(peer);
    });
  }

  draw() {
    const { videoWidth, videoHeight: height } = this.#video;
    if (!videoWidth) return;
    const width = videoWidth / 2;
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    const pen = this.#canvas.getContext("2d");
    const before = Math.round((width * this.share) / 100);
    const put = (half, from, to) => to > from && pen.drawImage(this.#video, half * width + from, 0, to - from, height, from, 0, to - from, height);
    if (this.mirrored) {
      put(1, 0, width - before);
      put(0, width - before, width);
    } else {
      put(0, 0, before);
      put(1, before, width);
    }
  }
}
