// The OpenID provider of the npm package oidc-provider, on a free port of 127.0.0.1.
//
//   node server.mjs
//
// Prints one line of JSON ({"url": ...}) when it listens, then reads one with its client and its people, and ends when
// its standard input is closed, so that it never outlives the program that started it.

import http from 'node:http'
import readline from 'node:readline'

import Provider from 'oidc-provider'

let answer = (request, response) => response.writeHead(503).end()
const server = http.createServer((request, response) => answer(request, response))
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }))
})

readline
  .createInterface({ input: process.stdin })
  .once('line', (line) => {
    const { client, people } = JSON.parse(line)
    const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
      clients: [client],
      claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups', 'department'] },
      conformIdTokenClaims: false,
      cookies: { keys: ['test'] },
      findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    })
    answer = provider.callback()
    console.log(JSON.stringify({ ready: true }))
  })
  .on('close', () => process.exit(0))
