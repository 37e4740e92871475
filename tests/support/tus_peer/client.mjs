// Upload one file with tus-js-client.
//
//   node client.mjs REQUEST      where REQUEST is one JSON object:
//
//   endpoint, file             required
//   headers, metadata          objects of strings
//   chunkSize                  bytes per PATCH; absent: everything that is left
//   uploadDataDuringCreation   true: the first chunk goes with the POST
//   retryDelays                milliseconds; absent: no retries
//   urlStorage                 file that remembers upload URLs; an upload found there is resumed
//   uploadUrl                  resume this upload
//   abortAfterBytes            cut the connection when this many bytes of this run have left
//
// Prints one line of JSON: outcome (finished | aborted | failed), url, size, resumedFrom, requests, error, status.

import { createReadStream } from 'node:fs'
import { Readable, Transform } from 'node:stream'

import { DefaultHttpStack, FileUrlStorage, Upload } from 'tus-js-client'

const request = JSON.parse(process.argv[2])
const report = { outcome: 'failed', url: null, size: null, resumedFrom: null, requests: [], error: null, status: null }
let upload

function finish(outcome) {
  report.outcome = outcome
  report.url = upload.url
  report.size = upload._size
  console.log(JSON.stringify(report))
  process.exit(0)
}

// Lets `left` bytes out, then gives the socket time to send them and cuts the upload in mid-request.
class CuttingStack extends DefaultHttpStack {
  constructor(left) {
    super()
    this.left = left
  }

  createRequest(method, url) {
    const stack = this
    const made = super.createRequest(method, url)
    const send = made.send.bind(made)
    made.send = (body) => {
      if (!(body instanceof Readable)) return send(body)
      const cutter = new Transform({
        transform(chunk, _encoding, pass) {
          if (chunk.length < stack.left) {
            stack.left -= chunk.length
            pass(null, chunk)
            return
          }
          this.push(chunk.subarray(0, stack.left))
          setTimeout(() => upload.abort().then(() => finish('aborted')), 200)
        },
      })
      cutter.size = body.size
      return send(body.pipe(cutter))
    }
    return made
  }
}

const options = {
  endpoint: request.endpoint,
  headers: request.headers ?? {},
  metadata: request.metadata ?? {},
  retryDelays: request.retryDelays ?? null,
  uploadDataDuringCreation: request.uploadDataDuringCreation ?? false,
  onAfterResponse(made, response) {
    report.requests.push([made.getMethod(), response.getStatus()])
    if (made.getMethod() === 'HEAD' && response.getStatus() === 200) {
      report.resumedFrom = Number(response.getHeader('Upload-Offset'))
    }
  },
  onSuccess: () => finish('finished'),
  onError(error) {
    report.error = error.message
    report.status = error.originalResponse ? error.originalResponse.getStatus() : null
    finish('failed')
  },
}
if (request.chunkSize) options.chunkSize = request.chunkSize
if (request.urlStorage) options.urlStorage = new FileUrlStorage(request.urlStorage)
if (request.uploadUrl) options.uploadUrl = request.uploadUrl
if (request.abortAfterBytes) options.httpStack = new CuttingStack(request.abortAfterBytes)

upload = new Upload(createReadStream(request.file), options)
const [previous] = request.urlStorage ? await upload.findPreviousUploads() : []
if (previous) upload.resumeFromPreviousUpload(previous)
upload.start()
