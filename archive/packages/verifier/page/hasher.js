// Two workers hash a share of the files side by side. The first reads, computes SHA-512 and hands each piece on to the
// second, which computes SHA-256: every byte is read once, and memory does not grow with the files. Streams are read because
// they cost the browser less than slices do; WebCrypto would be faster, and takes whole files only.
const MOST_AHEAD_BYTES = 16 * 1024 * 1024;

// The first: `files` to read, `port` to the second.
async function lead(files, port) {
  const hasher = await globalThis.hashwasm.createSHA512();
  let aheadBytes = 0;
  let untoldBytes = 0;
  let resume = () => {};
  // Not for each piece, since what shows it takes time from the same processor.
  const tell = () => {
    postMessage({ doneBytes: untoldBytes });
    untoldBytes = 0;
  };
  port.onmessage = ({ data: doneBytes }) => {
    aheadBytes -= doneBytes;
    resume();
  };
  for (const [path, file] of files) {
    try {
      hasher.init();
      let offset = 0;
      for (const reader = file.stream().getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        hasher.update(value);
        offset += value.byteLength;
        while (aheadBytes >= MOST_AHEAD_BYTES) await new Promise((resolve) => (resume = resolve));
        aheadBytes += value.byteLength;
        untoldBytes += value.byteLength;
        if (untoldBytes >= MOST_AHEAD_BYTES) tell();
        port.postMessage({ piece: value }, [value.buffer]);
      }
      if (offset !== file.size) throw new Error("the file is not as long as it was");
      tell();
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
    if (data.piece) {
      hasher.update(data.piece);
      port.postMessage(data.piece.byteLength);
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
