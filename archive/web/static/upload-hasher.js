// Hashes files, a slice at a time, so that memory does not grow with the file. Runs in a worker of its own, which alone
// may compile WebAssembly (see its content security policy).

import "./vendor/hash-wasm-4.13.0-sha256.min.js";
import "./vendor/hash-wasm-4.13.0-sha512.min.js";
import "./vendor/hash-wasm-4.13.0-sm3.min.js";

const SLICE_BYTES = 4 * 1024 * 1024;
const cancelled = new Set();

async function hash(id, file, withSm3) {
  const { createSHA256, createSHA512, createSM3 } = globalThis.hashwasm;
  const hashers = { sha256: await createSHA256(), sha512: await createSHA512() };
  if (withSm3) hashers.sm3 = await createSM3();
  for (let offset = 0; offset < file.size; offset += SLICE_BYTES) {
    const slice = new Uint8Array(await file.slice(offset, offset + SLICE_BYTES).arrayBuffer());
    if (cancelled.delete(id)) return;
    for (const hasher of Object.values(hashers)) hasher.update(slice);
    postMessage({ id, doneBytes: offset + slice.length });
  }
  const digests = Object.fromEntries(Object.entries(hashers).map(([name, hasher]) => [name, hasher.digest("hex")]));
  postMessage({ id, digests });
}

addEventListener("message", async ({ data }) => {
  if (data.cancel) {
    cancelled.add(data.cancel);
    return;
  }
  try {
    await hash(data.id, data.file, data.withSm3);
  } catch (error) {
    // A file that was moved, changed or is a folder cannot be read; the page says so.
    postMessage({ id: data.id, failed: String(error) });
  }
});
