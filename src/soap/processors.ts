import { XpsError } from '../errors.ts'
import { isPromiseLike } from '../lifetime/owned.ts'
import { invalidOption, knownOptions } from '../options.ts'
import { SoapFault } from './fault.ts'
import type { SoapMessage, SoapOutgoing } from './message.ts'
import { ownSubcode } from './outgoing.ts'
import type { SoapSession } from './session.ts'
import { describeIssues, type StandardSchema } from './standard-schema.ts'
import { XmlElement } from './xml/element.ts'

/** One answer: an element for the body, or a message. */
export type SoapAnswer = XmlElement | SoapOutgoing

/** The answers of a processor: none, one, or as many as it gives. */
export type SoapAnswers = undefined | SoapAnswer | Iterable<SoapAnswer> | AsyncIterable<SoapAnswer>

/** What works on the messages of an action: it gets the message and the session, and gives answers, now or later. */
export type ProcessorFunction<Value = XmlElement | undefined> = (
  message: SoapMessage<Value>,
  session: SoapSession,
  // biome-ignore lint/suspicious/noConfusingVoidType: what gives no answer need not say so
) => SoapAnswers | void | Promise<SoapAnswers | void>

/** A processor with more than a function; see {@link processor}. */
export interface ProcessorOptions<Value = XmlElement | undefined> {
  /** Validates the body; the message's `value` is what it makes of it. @default none */
  schema?: StandardSchema<Value>
  /** Makes what the schema is given of the body. @default the element's toValue */
  read?: (body: XmlElement | undefined) => unknown
  handle: ProcessorFunction<Value>
  /** Called when the server is closed, after its sessions. @default none */
  dispose?: () => unknown
}

/** A processor, whatever its messages are. */
export interface Processor {
  /** @internal Checks the body and handles the message. */
  run(message: SoapMessage, session: SoapSession): ReturnType<ProcessorFunction>
  /** @internal */
  dispose(): unknown
}

/**
 * Makes a processor whose messages are validated, so that `message.value` has the schema's type. Any schema of the
 * Standard Schema kind will do: Zod, Valibot, ArkType.
 */
export function processor<Value>(options: ProcessorOptions<Value>): Processor {
  knownOptions('processor', options, ['schema', 'read', 'handle', 'dispose'])
  const { schema, read, handle, dispose } = options
  if (typeof handle !== 'function') throw invalidOption('processor.handle', handle, 'a function')
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function') {
    throw invalidOption('processor.schema', schema, 'a schema of the Standard Schema kind')
  }
  return {
    run(message, session) {
      if (schema === undefined) {
        const value = read === undefined ? message.value : read(message.body)
        return handle({ ...message, value: value as Value }, session)
      }
      const given = read === undefined ? message.body?.toValue() : read(message.body)
      const result = schema['~standard'].validate(given)
      const go = (one: Awaited<typeof result>): ReturnType<ProcessorFunction<Value>> => {
        if (one.issues !== undefined) throw new InvalidBody(describeIssues(one.issues))
        return handle({ ...message, value: one.value }, session)
      }
      return isPromiseLike(result) ? result.then(go) : go(result)
    },
    dispose: () => dispose?.(),
  }
}

/** The processors of a server by their actions. */
export function processorTable(given: Readonly<Record<string, ProcessorFunction | Processor>>): Map<string, Processor> {
  if (typeof given !== 'object' || given === null) throw invalidOption('processors', given, 'an object')
  const table = new Map<string, Processor>()
  for (const [action, one] of Object.entries(given)) {
    if (typeof one === 'function') table.set(action, processor({ handle: one }))
    else if (typeof one?.run === 'function') table.set(action, one)
    else throw invalidOption(`processors['${action}']`, one, 'a function, or what processor() makes')
  }
  return table
}

/** The body is not what its processor takes. */
export class InvalidBody extends XpsError {
  constructor(message: string) {
    super('XPS_PROTOCOL', message, { origin: 'client' })
  }
}

/** The fault for what a processor threw, and whether that is the sender's to know. */
export function faultOf(error: unknown): { fault: SoapFault; reason: 'processor' | 'invalid-body' | undefined } {
  if (error instanceof SoapFault) return { fault: error, reason: undefined }
  if (error instanceof XpsError && error.code === 'XPS_PROTOCOL') {
    const fault = new SoapFault('Sender', `the body is not valid: ${error.message}`, {
      subcodes: [ownSubcode('InvalidBody')],
    })
    return { fault, reason: 'invalid-body' }
  }
  // What went wrong is for the log of the host. The sender only learns that something did.
  return { fault: new SoapFault('Receiver', 'the message could not be processed'), reason: 'processor' }
}

/** Tells the answers of a processor one by one, and waits between them while `wait` asks for it. */
export async function eachAnswer(
  answers: AsyncIterable<SoapAnswer>,
  session: SoapSession,
  answer: (one: SoapAnswer) => void,
): Promise<void> {
  const iterator = answers[Symbol.asyncIterator]()
  // A generator that waits for what never comes must not outlive the session.
  const stop = session.own(() => {
    iterator.return?.()?.then(undefined, () => {}) // Nobody is left to be told.
  })
  try {
    for (;;) {
      await session.drained()
      const { done, value } = await iterator.next()
      if (done === true || session.phase === 'closed') return
      answer(value)
    }
  } finally {
    session.disown(stop)
  }
}

/** Whether answers come one by one, with time between them. */
export function isAsyncAnswers(answers: SoapAnswers): answers is AsyncIterable<SoapAnswer> {
  return typeof answers === 'object' && answers !== null && Symbol.asyncIterator in answers
}

/** The answers that are there. */
export function answersOf(answers: Exclude<SoapAnswers, AsyncIterable<SoapAnswer>>): Iterable<SoapAnswer> {
  if (answers === undefined || answers === null) return []
  if (answers instanceof XmlElement || !(Symbol.iterator in answers)) return [answers as SoapAnswer]
  return answers
}
