import express from 'express'
import { describe, expect, it } from 'vitest'
import type { ProxyRequest } from '../../src/http-proxy/index.ts'
import { echo, Front, TestHttp, told, until, valuesOf } from './support.ts'

describe('a listener to proxyReq', () => {
  it('may edit fields, path and method', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    front.proxy.on('proxyReq', (proxyReq, req, res, options) => {
      expect(req.url).toBe('/asked')
      expect(res.headersSent).toBe(false)
      expect(String(options.target)).toBe(`${upstream.url}/`)
      expect(proxyReq.getHeader('x-old')).toBe('1')
      expect(proxyReq.hasHeader('X-OLD')).toBe(true)
      expect(proxyReq.getHeaders()).toMatchObject({ 'x-old': '1' })
      expect(proxyReq.getHeaderNames()).toContain('x-old')
      expect(proxyReq.getRawHeaderNames()).toContain('X-Old')
      expect([proxyReq.method, proxyReq.path, proxyReq.host]).toEqual(['GET', '/asked', upstream.host])
      proxyReq.removeHeader('x-old')
      proxyReq.setHeader('X-New', ['a', 'b'])
      proxyReq.setHeader('Host', 'given.test')
      proxyReq.path = '/sent?x=1'
      proxyReq.method = 'PUT'
    })
    const seen = await front.seen('/asked', { headers: { 'X-Old': '1' } })
    expect(seen).toMatchObject({ method: 'PUT', url: '/sent?x=1', headers: { host: 'given.test' } })
    expect(valuesOf(seen.raw, 'x-new')).toEqual(['a', 'b'])
    expect(valuesOf(seen.raw, 'x-old')).toEqual([])
  })

  it('is told once, before anything is sent, and can change nothing later', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    const order: string[] = []
    let kept: ProxyRequest | undefined
    front.proxy.on('start', (req, _, target) => order.push(`start ${req.url} ${String(target)}`))
    front.proxy.on('proxyReq', (proxyReq) => {
      kept = proxyReq
      order.push('proxyReq')
      proxyReq.on('response', (proxyRes) => order.push(`response ${proxyRes.statusCode}`))
      proxyReq.on('close', () => order.push('close'))
    })
    front.proxy.on('proxyRes', () => order.push('proxyRes'))
    await front.ask('/x')
    await until(() => expect(order).toContain('close'))
    expect(order).toEqual([`start /x ${upstream.url}/`, 'proxyReq', 'response 200', 'proxyRes', 'close'])
    expect(kept?.headersSent).toBe(true)
    expect(() => kept?.setHeader('a', 'b')).toThrow(/edit it within the event/)
    expect(() => kept?.write('b')).toThrow(/edit it within the event/)
  })

  it('cannot smuggle anything into the head', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    const attempts: ((proxyReq: ProxyRequest) => void)[] = [
      (proxyReq) => proxyReq.setHeader('x', 'a\r\nX-Evil: 1'),
      (proxyReq) => proxyReq.setHeader('x y', 'a'),
      (proxyReq) => {
        proxyReq.method = 'GET / HTTP/1.1\r\nX: '
      },
    ]
    for (const attempt of attempts) {
      front.proxy.once('proxyReq', attempt)
      expect((await front.ask()).status).toBe(500)
    }
    front.proxy.once('proxyReq', (proxyReq) => {
      proxyReq.path = '/a b\r\nX-Evil: 1'
    })
    expect((await front.seen()).url).toBe('/a%20b%0D%0AX-Evil:%201')
    // What frames the body is not theirs to say.
    front.proxy.once('proxyReq', (proxyReq) => {
      proxyReq.setHeader('Content-Length', 1)
      proxyReq.setHeader('Transfer-Encoding', 'chunked')
      proxyReq.setHeader('Connection', 'x-kept')
    })
    const seen = await front.seen('/', { body: 'hello', headers: { 'x-kept': '1' } })
    expect(seen).toMatchObject({ body: 'hello', headers: { 'content-length': '5' } })
    expect(seen.headers).not.toHaveProperty('transfer-encoding')
  })

  it('that throws makes the request fail, and is told as an error', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    front.proxy.once('proxyReq', () => {
      throw new Error('mine')
    })
    const error = told(front.proxy, 'error')
    front.proxy.on('error', (failure, _, res) => void ('writeHead' in (res ?? {}) && res?.end(failure.message)))
    expect((await front.ask()).body).toContain('mine')
    expect((await error)[0]).toMatchObject({ code: 'XPS_FAULT', statusCode: 500 })
  })

  it('may call it off', async () => {
    await using upstream = await TestHttp.start(() => expect.unreachable())
    await using front = await Front.start({ target: upstream.url })
    front.proxy.on('proxyReq', (proxyReq) => proxyReq.destroy(new Error('not today')))
    front.proxy.on(
      'error',
      (error, _, res) => void (res as import('node:http').ServerResponse).writeHead(403).end(error.message),
    )
    expect(await front.ask()).toMatchObject({ status: 403, body: 'not today' })
  })

  it('may write the body that a parser has read, as users of Express do', async () => {
    await using upstream = await echo()
    await using front = await Front.start({}, (proxy) => {
      const app = express()
      app.use(express.json())
      app.use('/api', (req, res) => void proxy.web(req, res, { target: `${upstream.url}/base` }))
      return app
    })
    front.proxy.on('proxyReq', (proxyReq, req) => {
      const { body } = req as import('express').Request
      if (body === undefined) return
      const json = JSON.stringify({ ...body, more: 'ü' })
      proxyReq.setHeader('Content-Type', 'application/json')
      proxyReq.setHeader('Content-Length', Buffer.byteLength(json))
      proxyReq.write(json)
      if (req.url === '/ended') proxyReq.end()
    })
    const options = { body: '{"a":1}', headers: { 'content-type': 'application/json' } }
    for (const path of ['/x', '/ended']) {
      const seen = await front.seen(`/api${path}`, options)
      expect(seen).toMatchObject({
        url: `/base${path}`,
        body: '{"a":1,"more":"ü"}',
        headers: { 'content-length': '19' },
      })
    }
    expect(await front.seen('/api/none')).toMatchObject({ url: '/base/none', method: 'GET', body: '' })
  })

  it('may write in front of a body that is still to come', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url })
    front.proxy.on('proxyReq', (proxyReq) => void proxyReq.write('first, '))
    expect(await front.seen('/', { body: 'second' })).toMatchObject({
      body: 'first, second',
      headers: { 'content-length': '13' },
    })
  })
})

describe('in Express', () => {
  it('a proxy is mounted, and `next` may be its callback', async () => {
    await using upstream = await echo()
    await using front = await Front.start({ target: upstream.url }, (proxy) => {
      const app = express()
      app.disable('x-powered-by')
      app.get('/own', (_, res) => void res.send('own'))
      app.use('/api', (req, res, next) => void proxy.web(req, res, next))
      app.use('/down', (req, res, next) => void proxy.web(req, res, { target: 'http://127.0.0.1:1' }, next))
      const failed: express.ErrorRequestHandler = (error: { status: number; code: string }, _req, res, _next) => {
        res.status(error.status).json({ code: error.code })
      }
      app.use(failed)
      return app
    })
    expect((await front.ask('/own')).body).toBe('own')
    expect(await front.seen('/api/x?y', { body: 'z' })).toMatchObject({ url: '/x?y', body: 'z' })
    expect(await front.ask('/down')).toMatchObject({ status: 502, body: '{"code":"ECONNREFUSED"}' })
  })
})
