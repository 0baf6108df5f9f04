import {
  Client,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { Served, until } from './support.ts'

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() }

function method(path: string, requestStream: boolean, responseStream: boolean) {
  return {
    path: `/echo.Echo/${path}`,
    requestStream,
    responseStream,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  }
}

const service: ServiceDefinition = {
  unary: method('Unary', false, false),
  collect: method('Collect', true, false),
  spread: method('Spread', false, true),
  chat: method('Chat', true, true),
  fail: method('Fail', false, false),
  hang: method('Hang', false, true),
}

/** A gRPC server behind a proxy that speaks HTTP/2 on both sides, and a client. */
async function start() {
  const server = new Server()
  const cancelled: string[] = []
  const unary: handleUnaryCall<string, string> = (call, done) => {
    const trailers = new Metadata()
    trailers.set('x-trailer', 'yes')
    call.sendMetadata(call.metadata)
    done(null, call.request.toUpperCase(), trailers)
  }
  const collect: handleClientStreamingCall<string, string> = (call, done) => {
    let all = ''
    call.on('data', (part: string) => {
      all += part
    })
    call.on('end', () => done(null, all))
  }
  const spread: handleServerStreamingCall<string, string> = (call) => {
    for (const part of call.request) call.write(part)
    call.end()
  }
  const chat: handleBidiStreamingCall<string, string> = (call) => {
    call.on('data', (part: string) => call.write(part.toUpperCase()))
    call.on('end', () => call.end())
  }
  const fail: handleUnaryCall<string, string> = (_call, done) =>
    done({ code: status.NOT_FOUND, details: 'not there', name: 'x', message: 'x' })
  const hang: handleServerStreamingCall<string, string> = (call) => {
    call.write('first')
    call.on('cancelled', () => cancelled.push('hang'))
  }
  server.addService(service, { unary, collect, spread, chat, fail, hang })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  const served = await Served.start({
    routes: [{ upstream: `h2c://127.0.0.1:${port}` }],
    http2: { cleartext: true },
  } as never)
  const client = new Client(`127.0.0.1:${served.port}`, credentials.createInsecure())
  return {
    served,
    server,
    client,
    cancelled,
    async [Symbol.asyncDispose]() {
      client.close()
      await served[Symbol.asyncDispose]()
      server.forceShutdown()
    },
  }
}

const { serialize, deserialize } = text

function unary(it: { client: Client }, path: string, request: string, metadata = new Metadata()) {
  return new Promise<{
    value?: string | undefined
    error?: { code: number; details: string }
    headers: Metadata
    trailers: Metadata
  }>((resolve) => {
    let headers = new Metadata()
    let trailers = new Metadata()
    let answer: { value?: string | undefined; error?: { code: number; details: string } } = {}
    const call = it.client.makeUnaryRequest(
      `/echo.Echo/${path}`,
      serialize,
      deserialize,
      request,
      metadata,
      (error, value) => {
        answer = error === null ? { value } : { error: { code: error.code, details: error.details } }
      },
    )
    call.on('metadata', (came: Metadata) => {
      headers = came
    })
    call.on('status', (ended) => {
      trailers = ended.metadata
      setImmediate(() => resolve({ ...answer, headers, trailers }))
    })
  })
}

describe('gRPC', () => {
  it('calls once: metadata and trailers both ways', async () => {
    await using it = await start()
    const metadata = new Metadata()
    metadata.set('x-meta', 'here')
    metadata.set('x-bytes-bin', Buffer.from([0, 255]))
    const answer = await unary(it, 'Unary', 'hello', metadata)
    expect(answer.value).toBe('HELLO')
    expect(answer.headers.get('x-meta')).toEqual(['here'])
    expect(answer.headers.get('x-bytes-bin')).toEqual([Buffer.from([0, 255])])
    expect(answer.trailers.get('x-trailer')).toEqual(['yes'])
    await until(() => expect(it.served.http.stats().transactions).toBe(0))
    expect(it.served.http.stats().faults).toEqual({})
  })

  it('fails with the status of the server, which sends nothing but trailers', async () => {
    await using it = await start()
    const { error } = await unary(it, 'Fail', 'x')
    expect(error).toEqual({ code: status.NOT_FOUND, details: 'not there' })
    const unknown = await unary(it, 'Unknown', 'x')
    expect(unknown.error?.code).toBe(status.UNIMPLEMENTED)
  })

  it('streams from the client', async () => {
    await using it = await start()
    const answer = await new Promise<string | undefined>((resolve, reject) => {
      const call = it.client.makeClientStreamRequest(
        '/echo.Echo/Collect',
        serialize,
        deserialize,
        new Metadata(),
        (error, value) => (error === null ? resolve(value) : reject(error)),
      )
      for (let count = 0; count < 1_000; count++) call.write('x'.repeat(100))
      call.end()
    })
    expect(answer).toHaveLength(100_000)
  })

  it('streams from the server, to the last message', async () => {
    await using it = await start()
    const parts: string[] = []
    const call = it.client.makeServerStreamRequest(
      '/echo.Echo/Spread',
      serialize,
      deserialize,
      'abcdef'.repeat(200),
      new Metadata(),
    )
    call.on('data', (part: string) => parts.push(part))
    await new Promise((resolve, reject) => {
      call.on('end', resolve)
      call.on('error', reject)
    })
    expect(parts.join('')).toBe('abcdef'.repeat(200))
  })

  it('talks in both directions at once', async () => {
    await using it = await start()
    const call = it.client.makeBidiStreamRequest('/echo.Echo/Chat', serialize, deserialize, new Metadata())
    const heard: string[] = []
    call.on('data', (part: string) => heard.push(part))
    for (const word of ['one', 'two', 'three']) {
      call.write(word)
      // Each is answered before the next is said.
      await until(() => expect(heard.at(-1)).toBe(word.toUpperCase()))
    }
    call.end()
    await new Promise((resolve) => call.on('status', resolve))
    expect(heard).toEqual(['ONE', 'TWO', 'THREE'])
    await until(() => expect(it.served.http.stats().transactions).toBe(0))
  })

  it('is cancelled at the server when the client cancels', async () => {
    await using it = await start()
    const call = it.client.makeServerStreamRequest('/echo.Echo/Hang', serialize, deserialize, 'x', new Metadata())
    call.on('error', () => {})
    await new Promise((resolve) => call.once('data', resolve))
    call.cancel()
    await until(() => expect(it.cancelled).toEqual(['hang']))
    await until(() => expect(it.served.http.stats().transactions).toBe(0))
  })

  it('many calls share one connection', async () => {
    await using it = await start()
    const answers = await Promise.all(Array.from({ length: 100 }, (_, at) => unary(it, 'Unary', `call ${at}`)))
    for (const [at, answer] of answers.entries()) expect(answer.value).toBe(`CALL ${at}`)
    const [upstream] = Object.values(it.served.http.stats().upstreams)
    expect(upstream?.connections).toBe(1)
  })

  it('of a server that is not there is UNAVAILABLE', async () => {
    await using it = await start()
    it.server.forceShutdown()
    const answer = await unary(it, 'Unary', 'x')
    expect(answer.error?.code).toBe(status.UNAVAILABLE)
  })
})
