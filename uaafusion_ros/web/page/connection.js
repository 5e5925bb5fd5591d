// The WebSocket to the viewer: calls again whenever it is gone, and says how things stand.

const FIRST_WAIT = 500, LONGEST_WAIT = 3000; // ms between two calls

const PREFIX = 13; // bytes before the JPEG: picture, number, stamp

export class Connection {
  // on: an object with functions hello, classes, status, error, frame and lost.
  constructor(on) {
    this.on = on;
    this.wait = FIRST_WAIT;
    this.looks = [];
    this.names = [];
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/live`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => {
      if (typeof event.data === "string") this.#text(JSON.parse(event.data));
      else this.#frame(event.data);
    };
    this.socket.onclose = () => {
      this.on.lost();
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
    };
  }

  // Which pictures are to be sent from now on; no others are.
  look(pictures) {
    this.looks = pictures;
    this.#say({ type: "look", pictures });
  }

  // The last frame of a picture has been drawn; the next may come.
  seen(picture) {
    this.#say({ type: "seen", picture });
  }

  #say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  #text(message) {
    if (message.type === "hello") {
      this.wait = FIRST_WAIT;
      this.names = message.pictures;
      this.look(this.looks);
    }
    this.on[message.type]?.(message);
  }

  #frame(data) {
    const view = new DataView(data);
    const picture = this.names[view.getUint8(0)];
    const jpeg = new Blob([new Uint8Array(data, PREFIX)], { type: "image/jpeg" });
    const stamp = Number(view.getBigInt64(5)) / 1e9; // seconds
    this.on.frame({ picture, number: view.getUint32(1), stamp, jpeg });
  }
}
