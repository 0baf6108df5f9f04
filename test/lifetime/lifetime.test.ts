import { once } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { busy, Thing, type ThingVerbs } from './thing.ts'

/** A promise and the call that resolves or rejects it. */
function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: unknown) => void } {
  let resolve: () => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Lets all promises go on that can. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A thing with a child, which is open like itself and takes its time to drain. */
function family(verbs: ThingVerbs = {}): { parent: Thing; child: Thing; log: string[] } {
  const log: string[] = []
  const parent = new Thing('parent', verbs, log)
  const child = new Thing('child', busy, log)
  parent.open()
  parent.take(child)
  child.open()
  log.length = 0
  return { parent, child, log }
}

describe('Lifetime', () => {
  describe('and its phases', () => {
    it('opens, drains and closes, in this order', async () => {
      const thing = new Thing('thing', busy)
      expect(thing.phase).toBe('opening')
      expect(thing.open()).toBe(true)
      expect(thing.phase).toBe('open')
      const closed = thing.close()
      expect(thing.phase).toBe('draining')
      thing.done()
      expect(thing.phase).toBe('closed')
      expect(await closed).toBeUndefined()
    })

    it('tells each phase once, when it has come to it', () => {
      const thing = new Thing('thing', { drain: (it) => void it.phases.push(it.phase) })
      thing.open()
      void thing.close()
      thing.abort()
      thing.open()
      expect(thing.phases).toEqual(['open', 'draining', 'draining', 'closed'])
      const short = new Thing('short')
      short.abort()
      expect(short.phases).toEqual(['draining', 'closed'])
    })

    it('closes at once when there is nothing to drain', () => {
      const thing = new Thing('thing')
      thing.open()
      void thing.close()
      expect(thing.phase).toBe('closed')
    })

    it('can end before it was ever open, and then does not open any more', () => {
      for (const end of [(it: Thing) => it.abort(), (it: Thing) => void it.close(), (it: Thing) => it.done()]) {
        const thing = new Thing('thing')
        end(thing)
        expect(thing.phase).toBe('closed')
        expect(thing.open()).toBe(false)
        expect(thing.phase).toBe('closed')
      }
    })

    it('opens once', () => {
      const { parent, child, log } = family()
      expect(child.open()).toBe(false)
      expect(parent.open()).toBe(false)
      expect(log).toEqual([])
    })

    it('does not open while it drains', () => {
      const thing = new Thing('thing', busy)
      void thing.close()
      expect(thing.open()).toBe(false)
      expect(thing.phase).toBe('draining')
      thing.done()
    })

    it('tells its parent when it opens', () => {
      const log: string[] = []
      const parent = new Thing('parent', {}, log)
      const child = new Thing('child', {}, log)
      parent.take(child)
      child.open()
      expect(log).toEqual(['parent sees child open'])
    })

    it('ignores what comes too late', async () => {
      const thing = new Thing('thing')
      thing.open()
      thing.done()
      thing.done(new XpsError('XPS_REFUSED', 'late'))
      thing.abort(new Error('later'))
      await thing.close()
      expect(thing.open()).toBe(false)
      expect(thing.error).toBeUndefined()
      expect(await thing.closed).toBeUndefined()
      expect(thing.log).toEqual(['thing closed'])
    })
  })

  describe('and its two endings', () => {
    it('close() lets the work finish, however long it takes', async () => {
      const thing = new Thing('thing', busy)
      thing.open()
      let over = false
      const closed = thing.close().then(() => {
        over = true
      })
      await settled()
      expect(over).toBe(false)
      expect(thing.phase).toBe('draining')
      thing.done()
      await closed
      expect(over).toBe(true)
    })

    it('close() asks for the end of the work once, however often it is called', async () => {
      let drains = 0
      const thing = new Thing('thing', { drain: () => void drains++ })
      thing.open()
      const all = [thing.close(), thing.close(), thing.close()]
      expect(drains).toBe(1)
      thing.done()
      expect(await Promise.all(all)).toEqual([undefined, undefined, undefined])
    })

    it('close() resolves to the error that the work ended with', async () => {
      const error = new XpsError('XPS_RESET', 'broken')
      const thing = new Thing('thing', { drain: (it) => it.done(error) })
      thing.open()
      expect(await thing.close()).toBe(error)
      expect(thing.error).toBe(error)
    })

    it('abort() ends the work now, and is an error', async () => {
      const thing = new Thing('thing', busy)
      thing.open()
      thing.abort()
      expect(thing.phase).toBe('closed')
      expect(thing.log).toEqual(['thing aborts', 'thing closed XPS_ABORTED'])
      expect((await thing.closed)?.code).toBe('XPS_ABORTED')
    })

    it('abort() keeps the reason: an XpsError as it is, anything else as the cause', async () => {
      const own = new XpsError('XPS_TIMEOUT', 'too slow')
      const first = new Thing('first')
      first.abort(own)
      expect(await first.closed).toBe(own)
      const host = new Error('because')
      const second = new Thing('second')
      second.abort(host)
      expect(await second.closed).toMatchObject({ code: 'XPS_ABORTED', cause: host, message: 'aborted: because' })
    })

    it('abort() ends the work once, for the first reason', () => {
      const first = new XpsError('XPS_TIMEOUT', 'first')
      const thing = new Thing('thing', {
        abort: (_error, it) => it.abort(new XpsError('XPS_REFUSED', 'from within')),
      })
      thing.open()
      thing.wait()
      thing.abort(first)
      thing.abort(new XpsError('XPS_REFUSED', 'second'))
      thing.go()
      expect(thing.error).toBe(first)
      expect(thing.log).toEqual(['thing aborts', 'thing closed XPS_TIMEOUT'])
    })

    it('turns into an abort when draining takes too long', async () => {
      const thing = new Thing('thing', busy)
      thing.open()
      const closed = thing.close()
      thing.abort(new XpsError('XPS_TIMEOUT', 'too slow'))
      expect((await closed)?.code).toBe('XPS_TIMEOUT')
    })

    it('ends the children too when abort() comes after close()', async () => {
      const { parent, child } = family()
      const closed = parent.close()
      expect(child.phase).toBe('draining')
      expect(parent.phase).toBe('draining')
      parent.abort(new XpsError('XPS_TIMEOUT', 'too slow'))
      expect(child.phase).toBe('closed')
      expect(child.error?.code).toBe('XPS_TIMEOUT')
      expect(parent.phase).toBe('closed')
      await closed
    })

    it('knows its error as soon as the end is certain, before it is closed', () => {
      const error = new XpsError('XPS_RESET', 'broken')
      const { parent, child } = family()
      parent.done(error)
      expect(parent.phase).toBe('draining')
      expect(parent.error).toBe(error)
      child.done()
      expect(parent.phase).toBe('closed')
    })

    it('is aborted when its draining throws', async () => {
      const cause = new Error('cannot drain')
      const thing = new Thing('thing', {
        drain() {
          throw cause
        },
      })
      thing.open()
      expect(await thing.close()).toMatchObject({ code: 'XPS_ABORTED', cause })
      expect(thing.log).toEqual(['thing aborts', 'thing closed XPS_ABORTED'])
    })

    it('ends even if its own abort throws, which is a fault', async () => {
      const { parent, child } = family({ takesFaults: true })
      const wild = new Thing('wild', {
        abort() {
          throw new Error('cannot let go')
        },
      })
      parent.take(wild)
      wild.take(child)
      wild.abort()
      expect(wild.phase).toBe('closed')
      expect(child.phase).toBe('closed')
      expect(parent.faults.map((fault) => fault.message)).toEqual(['host code failed: cannot let go'])
    })

    it('is not closed before what holds it has let go', () => {
      const thing = new Thing('thing')
      thing.open()
      thing.wait()
      thing.wait()
      thing.abort()
      thing.go()
      expect(thing.phase).toBe('draining')
      expect(thing.ends).toBe(0)
      thing.go()
      expect(thing.phase).toBe('closed')
      expect(thing.ends).toBe(1)
    })

    it('goes on after a hold that came and went', () => {
      const thing = new Thing('thing')
      thing.open()
      thing.wait()
      thing.go()
      expect(thing.phase).toBe('open')
    })

    it('is closed when a block that uses it is left', async () => {
      const thing = new Thing('thing')
      {
        await using used = thing
        used.open()
        expect(used.phase).toBe('open')
      }
      expect(thing.phase).toBe('closed')
    })
  })

  describe('and its promise', () => {
    it('closed resolves to the same for whoever asks, whenever', async () => {
      const error = new XpsError('XPS_RESET', 'broken')
      const thing = new Thing('thing')
      const early = thing.closed
      thing.abort(error)
      expect(await early).toBe(error)
      expect(await thing.closed).toBe(error)
      expect(thing.closed).toBe(early)
      const late = new Thing('late')
      late.abort(error)
      expect(await late.closed).toBe(error)
      expect(await late.close()).toBe(error)
    })

    it('resolves after the parent has been told', async () => {
      const { parent, child, log } = family()
      void child.closed.then(() => log.push('promise'))
      child.done()
      await settled()
      expect(log).toEqual(['parent sees child close', 'child closed', 'promise'])
      parent.done()
    })

    it('never rejects, whatever it ended with', async () => {
      // Nobody listens to these promises: a rejection would fail the run.
      const thing = new Thing('thing')
      void thing.closed
      void thing.close()
      thing.abort(new Error('because'))
      await settled()
      expect(thing.phase).toBe('closed')
    })

    it('resolves even if the parent fails to hear of it, which is a fault', async () => {
      const { parent, child } = family({
        takesFaults: true,
        childClosed() {
          throw new Error('cannot count')
        },
      })
      const closed = child.closed
      void parent.close()
      expect(() => child.done()).not.toThrow()
      expect(await Promise.race([closed.then(() => 'closed'), settled()])).toBe('closed')
      expect(child.ends).toBe(1)
      expect(parent.phase).toBe('closed')
      expect(parent.faults.map((fault) => fault.message)).toEqual(['host code failed: cannot count'])
    })

    it('resolves even if the telling throws, which is a fault', async () => {
      const thing = new Thing('thing', {
        takesFaults: true,
        closed() {
          throw new Error('listener')
        },
      })
      const closed = thing.closed
      thing.done()
      expect(await closed).toBeUndefined()
      expect(thing.faults.map((fault) => fault.code)).toEqual(['XPS_FAULT'])
    })
  })

  describe('and its children', () => {
    it('lists them oldest first, and only while they live', () => {
      const parent = new Thing('parent')
      const children = ['a', 'b', 'c', 'd'].map((name) => new Thing(name))
      for (const child of children) parent.take(child)
      expect(parent.size).toBe(4)
      expect(parent.children()).toEqual(children)
      expect(children[0]?.parent).toBe(parent)
      children[1]?.abort()
      expect(parent.children().map((child) => (child as Thing).name)).toEqual(['a', 'c', 'd'])
      children[3]?.abort()
      children[0]?.abort()
      expect(parent.children()).toEqual([children[2]])
      children[2]?.abort()
      expect(parent.children()).toEqual([])
      expect(parent.size).toBe(0)
    })

    it('is closed after the last of them', () => {
      const { parent, child, log } = family()
      const other = new Thing('other', busy, log)
      parent.take(other)
      void parent.close()
      child.done()
      expect(parent.phase).toBe('draining')
      other.done()
      expect(parent.phase).toBe('closed')
      expect(log).toEqual([
        'parent sees child close',
        'child closed',
        'parent sees other close',
        'other closed',
        'parent closed',
      ])
    })

    it('drains them when its own work is over', () => {
      const { parent, child } = family()
      parent.done()
      expect(child.phase).toBe('draining')
      child.done()
      expect(parent.phase).toBe('closed')
    })

    it('is over when the last of them has closed, if that is all it waits for', () => {
      for (const empty of [true, false]) {
        const parent = new Thing('parent', {
          takesFaults: true,
          closed(it) {
            if (it.ends > 1) throw new Error('told again')
          },
        })
        const child = new Thing('child', busy)
        parent.open()
        if (!empty) parent.take(child)
        parent.doneWithChildren()
        if (!empty) {
          expect(child.phase).toBe('draining')
          expect(parent.phase).toBe('draining')
          child.done(new XpsError('XPS_RESET', 'its own affair'))
        }
        expect(parent.phase).toBe('closed')
        expect(parent.error).toBeUndefined()
        expect(parent.ends).toBe(1)
      }
    })

    it('knows that it was aborted while it waited for them', async () => {
      const { parent } = family()
      const closed = parent.close()
      parent.abort(new XpsError('XPS_TIMEOUT', 'too slow'))
      expect(await closed).toMatchObject({ code: 'XPS_TIMEOUT' })
    })

    it('can be gone through without a list, newest first', () => {
      const parent = new Thing('parent')
      const [a, b, c] = ['a', 'b', 'c'].map((name) => new Thing(name)) as [Thing, Thing, Thing]
      for (const child of [a, b, c]) parent.take(child)
      b.abort()
      expect(parent.firstChild).toBe(c)
      expect(c.nextSibling).toBe(a)
      expect(a.nextSibling).toBeUndefined()
    })

    it('aborts them, for the same reason, after itself and before it is closed', () => {
      const { parent, child, log } = family()
      const error = new XpsError('XPS_REFUSED', 'too many')
      parent.abort(error)
      expect(child.error).toBe(error)
      expect(log).toEqual([
        'parent aborts',
        'child aborts',
        'parent sees child close',
        'child closed XPS_REFUSED',
        'parent closed XPS_REFUSED',
      ])
    })

    it('outlives a child that ends by itself', () => {
      const { parent, child } = family()
      child.abort()
      expect(parent.phase).toBe('open')
      expect(parent.size).toBe(0)
    })

    it('counts a child no more when it is told of its end', () => {
      const sizes: number[] = []
      const { child } = family({ childClosed: (_child, parent) => void sizes.push(parent.size) })
      child.abort()
      expect(sizes).toEqual([0])
    })

    it('may end itself from within the news of a child', () => {
      const { parent, child, log } = family({ childClosed: (_child, it) => it.done() })
      child.done()
      expect(parent.phase).toBe('closed')
      expect(log).toEqual(['parent sees child close', 'child closed', 'parent closed'])
    })

    it('takes a child only once', () => {
      const { parent, child } = family()
      parent.take(child)
      expect(parent.size).toBe(1)
      child.done()
      expect(parent.size).toBe(0)
    })

    it('takes no child that is closed', () => {
      const parent = new Thing('parent')
      const child = new Thing('child')
      child.abort()
      parent.take(child)
      expect(parent.size).toBe(0)
      expect(child.parent).toBeUndefined()
    })

    it('hands a child on to another parent, who alone is told of its end', () => {
      const { parent, child, log } = family()
      const heir = new Thing('heir', {}, log)
      heir.take(child)
      expect(parent.size).toBe(0)
      expect(heir.children()).toEqual([child])
      expect(child.parent).toBe(heir)
      parent.abort()
      expect(child.phase).toBe('open')
      child.done()
      expect(log).toEqual(['parent aborts', 'parent closed XPS_ABORTED', 'heir sees child close', 'child closed'])
    })

    it('keeps the others in order when one in the middle moves away', () => {
      const parent = new Thing('parent')
      const heir = new Thing('heir')
      const [a, b, c] = ['a', 'b', 'c'].map((name) => new Thing(name)) as [Thing, Thing, Thing]
      for (const child of [a, b, c]) parent.take(child)
      heir.take(b)
      expect(parent.children()).toEqual([a, c])
      heir.take(c)
      expect(parent.children()).toEqual([a])
      heir.take(a)
      expect(parent.children()).toEqual([])
      expect(heir.children()).toEqual([b, c, a])
    })

    it('closes when the child that it waited for moves away', () => {
      const { parent, child } = family()
      const heir = new Thing('heir')
      void parent.close()
      expect(parent.phase).toBe('draining')
      heir.take(child)
      expect(parent.phase).toBe('closed')
      expect(child.phase).toBe('draining')
    })

    it('shares its end with a child that joins while it drains', () => {
      const { parent, child } = family()
      void parent.close()
      const late = new Thing('late', busy)
      late.open()
      parent.take(late)
      expect(late.phase).toBe('draining')
      child.done()
      expect(parent.phase).toBe('draining')
      late.done()
      expect(parent.phase).toBe('closed')
    })

    it('shares its end with a child that joins after it was aborted', () => {
      const thing = new Thing('thing')
      thing.wait()
      const error = new XpsError('XPS_REFUSED', 'too many')
      thing.abort(error)
      const late = new Thing('late', busy)
      thing.take(late)
      expect(late.phase).toBe('closed')
      expect(late.error).toBe(error)
      thing.go()
      expect(thing.phase).toBe('closed')
      const latest = new Thing('latest', busy)
      thing.take(latest)
      expect(latest.error).toBe(error)
    })

    it('leaves a child that joins alone while its own work still goes on after close()', () => {
      const parent = new Thing('parent', busy)
      parent.open()
      void parent.close()
      const child = new Thing('child', busy)
      child.open()
      parent.take(child)
      expect(child.phase).toBe('open')
      parent.done()
      expect(child.phase).toBe('draining')
      child.done()
      expect(parent.phase).toBe('closed')
    })

    it('ends 1,000 children and their children, each told once and before its parent', () => {
      const root = new Thing('root')
      root.open()
      const things: Thing[] = []
      for (let index = 0; index < 1_000; index++) {
        const child = new Thing('child')
        const grandchild = new Thing('grandchild')
        root.take(child)
        child.take(grandchild)
        things.push(child, grandchild)
      }
      expect(root.size).toBe(1_000)
      root.abort()
      expect(root.phase).toBe('closed')
      expect(root.size).toBe(0)
      expect(things.every((thing) => thing.phase === 'closed' && thing.ends === 1 && thing.size === 0)).toBe(true)
    })

    it('ends a chain of 1,000, from the far end', async () => {
      for (const end of ['close', 'abort'] as const) {
        const log: string[] = []
        const chain = Array.from({ length: 1_000 }, (_, index) => new Thing(String(index), {}, log))
        chain.forEach((thing, index) => {
          chain[index - 1]?.take(thing)
        })
        const [root] = chain as [Thing]
        void root[end]()
        await root.closed
        const closed = log.flatMap((line) => (line.includes(' closed') ? [Number.parseInt(line, 10)] : []))
        expect(closed).toEqual(chain.map((_, index) => 999 - index))
      }
    })
  })

  describe('and what it owns', () => {
    it('disposes of it once, in reverse order, after the children and before its end is told', async () => {
      const { parent, child, log } = family()
      expect(parent.own(() => log.push('first'))).toBeTypeOf('function')
      parent.own({ dispose: () => log.push('second') })
      parent.own({ [Symbol.dispose]: () => void log.push('third') })
      parent.own({
        async [Symbol.asyncDispose]() {
          log.push('fourth')
        },
      })
      void parent.close()
      expect(log).toEqual([])
      child.done()
      await parent.closed
      parent.abort()
      expect(log).toEqual([
        'parent sees child close',
        'child closed',
        'fourth',
        'third',
        'second',
        'first',
        'parent closed',
      ])
    })

    it('waits for a disposal that takes time before it goes on to the next', async () => {
      const thing = new Thing('thing')
      const slow = deferred()
      thing.own(() => thing.log.push('before'))
      thing.own(() => slow.promise)
      thing.abort()
      await settled()
      expect(thing.phase).toBe('draining')
      expect(thing.log).toEqual(['thing aborts'])
      slow.resolve()
      await thing.closed
      expect(thing.log).toEqual(['thing aborts', 'before', 'thing closed XPS_ABORTED'])
    })

    it('waits for it even if it is aborted meanwhile', async () => {
      const thing = new Thing('thing')
      const slow = deferred()
      thing.own(() => slow.promise)
      void thing.close()
      thing.abort()
      await settled()
      expect(thing.phase).toBe('draining')
      slow.resolve()
      await thing.closed
      expect(thing.ends).toBe(1)
    })

    it('disposes of the others when one throws or rejects, and reports each as a fault', async () => {
      const thing = new Thing('thing', { takesFaults: true })
      const thrown = new Error('thrown')
      const rejected = new Error('rejected')
      thing.own(() => thing.log.push('first'))
      thing.own(() => Promise.reject(rejected))
      thing.own(() => {
        throw thrown
      })
      thing.own(() => thing.log.push('last'))
      void thing.close()
      expect(await thing.closed).toBeUndefined()
      expect(thing.log).toEqual(['last', 'first', 'thing closed'])
      expect(thing.faults.map((fault) => fault.cause)).toEqual([thrown, rejected])
      expect(thing.faults.every((fault) => fault.code === 'XPS_FAULT')).toBe(true)
    })

    it('disposes at once of what is owned after it closed', () => {
      const thing = new Thing('thing')
      thing.abort()
      thing.own(() => thing.log.push('late'))
      expect(thing.log).toEqual(['thing aborts', 'thing closed XPS_ABORTED', 'late'])
    })

    it('reports a late disposal that throws or rejects as a fault', async () => {
      const thing = new Thing('thing', { takesFaults: true })
      thing.abort()
      thing.own(() => {
        throw new Error('thrown')
      })
      let caught = false
      // A promise that tells whether somebody looks after its failure, because one that nobody does fails the run.
      const pending = {
        // biome-ignore lint/suspicious/noThenProperty: a promise of its own kind is the point
        then: (_resolve: unknown, reject?: (error: unknown) => void) => {
          caught = reject !== undefined && reject !== null
          reject?.(new Error('rejected'))
        },
      }
      thing.own(() => pending)
      await settled()
      expect(caught).toBe(true)
      expect(thing.faults.map((fault) => fault.message)).toEqual([
        'host code failed: thrown',
        'host code failed: rejected',
      ])
    })

    it('disposes of what is owned during a disposal', async () => {
      const thing = new Thing('thing')
      thing.own(() => void thing.own(() => thing.log.push('from within')))
      thing.abort()
      await thing.closed
      expect(thing.log).toEqual(['thing aborts', 'from within', 'thing closed XPS_ABORTED'])
    })

    it('leaves alone what was taken back', () => {
      const thing = new Thing('thing')
      const kept = thing.own({ dispose: () => thing.log.push('kept') })
      const taken = thing.own({ dispose: () => thing.log.push('taken') })
      thing.disown(taken)
      thing.disown(taken)
      thing.disown(() => {})
      thing.abort()
      expect(thing.log).toEqual(['thing aborts', 'kept', 'thing closed XPS_ABORTED'])
      thing.disown(kept)
    })

    it('can take back what it never had', () => {
      const thing = new Thing('thing')
      thing.disown(() => {})
      thing.abort()
      expect(thing.phase).toBe('closed')
    })

    it('is told its end once though a disposal aborts it', () => {
      const log: string[] = []
      const parent = new Thing('parent', {}, log)
      const child = new Thing('child', {}, log)
      const sibling = new Thing('sibling', {}, log)
      parent.take(child)
      parent.take(sibling)
      child.own(() => child.abort())
      void child.close()
      expect(child.phase).toBe('closed')
      expect(child.ends).toBe(1)
      expect(parent.size).toBe(1)
      expect(parent.children()).toEqual([sibling])
    })

    it('is told its end once though a disposal waits and goes on', () => {
      const thing = new Thing('thing')
      thing.own(() => {
        thing.wait()
        thing.go()
      })
      thing.abort()
      expect(thing.ends).toBe(1)
    })

    it('waits for a child that a disposal brought', () => {
      const thing = new Thing('thing')
      const late = new Thing('late', busy)
      late.open()
      thing.own(() => thing.take(late))
      void thing.close()
      expect(late.phase).toBe('draining')
      expect(thing.phase).toBe('draining')
      late.done()
      expect(thing.phase).toBe('closed')
      expect(thing.ends).toBe(1)
      expect(thing.size).toBe(0)
    })
  })

  describe('and faults', () => {
    it('go to the nearest above that takes them', () => {
      const top = new Thing('top', { takesFaults: true })
      const middle = new Thing('middle')
      const bottom = new Thing('bottom')
      top.take(middle)
      middle.take(bottom)
      const cause = new Error('in a listener')
      bottom.complain(cause)
      expect(top.faults).toHaveLength(1)
      expect(top.faults[0]).toMatchObject({ code: 'XPS_FAULT', cause })
      const own = new XpsError('XPS_REFUSED', 'as it is')
      bottom.complain(own)
      expect(top.faults[1]).toBe(own)
    })

    it('do not end the one that they happened in', () => {
      const thing = new Thing('thing', { takesFaults: true })
      thing.open()
      thing.complain(new Error('in a listener'))
      expect(thing.phase).toBe('open')
    })

    it('become a warning of the process when nobody takes them', async () => {
      const warned = once(process, 'warning')
      new Thing('thing').complain(new Error('in a listener'))
      const [warning] = (await warned) as [Error]
      expect(warning).toMatchObject({ code: 'XPS_FAULT', message: 'host code failed: in a listener' })
    })
  })

  describe('in any order of events', () => {
    const count = 8
    const which = fc.nat(count - 1)
    const acts = ['open', 'close', 'abort', 'finish', 'own', 'hold', 'release', 'adopt', 'adopt', 'adopt'] as const
    const steps = fc.array(fc.record({ act: fc.constantFrom(...acts), on: which, child: which }), { maxLength: 60 })

    it('each end is told once, children before parents, and nothing is left', async () => {
      await fc.assert(
        fc.asyncProperty(steps, fc.boolean(), async (steps, gentle) => {
          let disposals = 0
          let owned = 0
          const wrongs: string[] = []
          const verbs: ThingVerbs = {
            drain: () => {},
            closed: (it) => {
              if (it.size > 0) wrongs.push(`${it.name} closed before ${it.size} children`)
              if (it.phase !== 'closed') wrongs.push(`${it.name} told while ${it.phase}`)
            },
            childClosed: (child, it) => {
              if (it.children().includes(child)) wrongs.push('a closed child is still a child')
            },
          }
          const things = Array.from({ length: count }, (_, index) => new Thing(String(index), verbs))
          const holds = things.map(() => 0)
          const over = things.map(() => false)
          const slow = things.map(() => false)
          for (const { act, on, child } of steps) {
            const thing = things[on] as Thing
            if (act === 'adopt') {
              const other = things[child] as Thing
              // A tree has no circles, and what is closed has no more children.
              if (thing.phase !== 'closed' && !ancestry(thing).includes(other)) thing.take(other)
            } else if (act === 'own') {
              const take = (): void => void disposals++
              if (++owned % 3 === 0) {
                slow[on] = true
                thing.own(async () => take())
              } else if (owned % 3 === 1) {
                thing.own(() => {
                  take()
                  thing.abort()
                })
              } else thing.own(take)
            } else if (act === 'hold' && thing.phase !== 'closed') {
              holds[on] = (holds[on] as number) + 1
              thing.wait()
            } else if (act === 'release' && (holds[on] as number) > 0) {
              holds[on] = (holds[on] as number) - 1
              thing.go()
            } else if (act === 'open') {
              const could = thing.phase === 'opening'
              if (thing.open() !== could) wrongs.push('opened at the wrong time')
            } else if (act === 'close') void thing.close()
            else if (act === 'abort') thing.abort()
            else if (act === 'finish') {
              over[on] = true
              thing.done()
            }
            things.forEach(({ size, name, ends, phase }, index) => {
              if (ends !== (phase === 'closed' ? 1 : 0)) wrongs.push(`${name} is ${phase}, told ${ends} times`)
              const reasons = size + (holds[index] as number) + (slow[index] ? 1 : 0)
              if (over[index] && reasons === 0 && phase !== 'closed') wrongs.push(`${name} waits for nothing`)
              if (things[index]?.children().length !== size) wrongs.push(`${name} has miscounted ${size}`)
            })
            expect(wrongs).toEqual([])
          }
          things.forEach((thing, index) => {
            for (let left = holds[index] as number; left > 0; left--) thing.go()
          })
          for (const thing of things) {
            if (gentle) thing.done()
            else thing.abort()
          }
          await Promise.all(things.map((thing) => thing.closed))
          expect(wrongs).toEqual([])
          expect(things.map(({ phase, size, ends }) => ({ phase, size, ends }))).toEqual(
            things.map(() => ({ phase: 'closed', size: 0, ends: 1 })),
          )
          expect(disposals).toBe(owned)
        }),
        { numRuns: 100 },
      )
    })

    function ancestry(thing: Thing): Thing[] {
      const line: Thing[] = []
      for (let it: Thing | undefined = thing; it !== undefined; it = it.parent as Thing | undefined) line.push(it)
      return line
    }
  })
})
