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
import { Served } from './support.ts'

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

describe('gRPC', () => {
  it('passes through', async () => {
    await using it = await start()
    const metadata = new Metadata()
    metadata.set('x-meta', 'here')
    const answer = await new Promise<string | undefined>((resolve, reject) => {
      it.client.makeUnaryRequest('/echo.Echo/Unary', serialize, deserialize, 'hello', metadata, (error, value) =>
        error === null ? resolve(value) : reject(error),
      )
    })
    expect(answer).toBe('HELLO')
  })
})
