// The official Node tus server with its file store, on a free port of 127.0.0.1.
//
//   node server.mjs DIRECTORY [--max-size BYTES] [--expire-after-s SECONDS]
//
// Prints one line of JSON ({"url": ...}) when it listens, and ends when its standard input is closed,
// so that it never outlives the program that started it.

import http from 'node:http'
import { parseArgs } from 'node:util'

import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'max-size': { type: 'string' }, 'expire-after-s': { type: 'string' } },
})
const [directory] = positionals
const maxSize = values['max-size'] === undefined ? undefined : Number(values['max-size'])
const expireAfterMs = Number(values['expire-after-s'] ?? 0) * 1000

const path = '/files'
const tus = new Server({
  path,
  datastore: new FileStore({ directory, expirationPeriodInMilliseconds: expireAfterMs }),
  ...(maxSize === undefined ? {} : { maxSize }),
})
const server = http.createServer((request, response) => tus.handle(request, response))
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}${path}` }))
})

process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
