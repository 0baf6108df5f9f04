// @ts-check
// How a program that uses xps tests its sessions and routes: without a port, without a sleep, by a clock of its own.
//
// Try it:  node --test examples/unit-test.js
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClientSession, relay } from 'xps'
import { FakeUpstream, inMemory, ManualClock, sessionContract } from 'xps/testing'

class EchoSession extends ClientSession {
  onOpen() {
    this.pipe(this.client.source, this.client.sink)
  }
}

// What every kind of session must keep to: endings, errors, ownership. Each claim is a test.
const claims = sessionContract({
  protocol: (client) => new EchoSession(client),
  async exchange(client) {
    await client.write('hello')
    assert.equal(await client.read(5), 'hello')
  },
})
for (const { name, run } of claims) test(`EchoSession ${name}`, run)

test('the relay passes on what the upstream answers', async () => {
  const upstream = new FakeUpstream()
  const { client, session } = inMemory(relay({ route: { upstream: upstream.target } }))
  client.end('a question')
  const peer = await upstream.accept()
  assert.equal(await peer.text(), 'a question')
  peer.end('an answer')
  assert.equal(await client.text(), 'an answer')
  assert.equal(await session.closed, undefined)
})

test('a client that is refused and does not leave is cut off after two seconds', async () => {
  const clock = new ManualClock()
  const { client, session } = inMemory(relay({ route: { refuse: 'closed on Sundays' } }), { clock })
  assert.equal(await client.text(), '')
  assert.equal(session.phase, 'draining')
  clock.advance(2_000)
  assert.equal((await session.closed)?.code, 'XPS_REFUSED')
})
