// Two workers hash a share of the files side by side. The first reads, computes SHA-512 and hands each slice on to the
// second, which computes SHA-256: every byte is read once, and memory does not grow with the files.
const SLICE_BYTES = 8 * 1024 * 1024;
const MOST_AHEAD = 3;

// The first: `files` to read, `port` to the second.
async function lead(files, port) {
  const hasher = await globalThis.hashwasm.createSHA512();
  let ahead = 0;
  let resume = () => {};
  port.onmessage = () => {
    ahead -= 1;
    resume();
  };
  for (const [path, file] of files) {
    try {
      hasher.init();
      let next = file.slice(0, SLICE_BYTES).arrayBuffer();
      for (let offset = 0; offset < file.size; ) {
        const buffer = await next;
        if (buffer.byteLength === 0) throw new Error("the file is shorter than it was");
        offset += buffer.byteLength;
        // The next slice is read while this one is hashed.
        next = file.slice(offset, offset + SLICE_BYTES).arrayBuffer();
        hasher.update(new Uint8Array(buffer));
        while (ahead >= MOST_AHEAD) await new Promise((resolve) => (resume = resolve));
        ahead += 1;
        postMessage({ doneBytes: buffer.byteLength });
        port.postMessage({ buffer }, [buffer]);
      }
      await next;
      postMessage({ path, size: file.size, sha512: hasher.digest("hex") });
      port.postMessage({ path });
    } catch {
      // Moved, changed or withdrawn while it was read: such a file has no digest, and the check says so.
      postMessage({ path, failed: true });
      port.postMessage({ path: null });
    }
  }
  port.postMessage({ ended: true });
  postMessage({ ended: true });
}

async function follow(port) {
  const hasher = await globalThis.hashwasm.createSHA256();
  hasher.init();
  port.onmessage = ({ data }) => {
    if (data.buffer) {
      hasher.update(new Uint8Array(data.buffer));
      port.postMessage("done");
      return;
    }
    if (data.ended) {
      postMessage({ ended: true });
      return;
    }
    if (data.path !== null) postMessage({ path: data.path, sha256: hasher.digest("hex") });
    hasher.init();
  };
}

addEventListener("message", ({ data: { files, port } }) => (files ? lead(files, port) : follow(port)));
