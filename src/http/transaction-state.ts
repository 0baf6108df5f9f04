import { bitsOfPoints, type HookPoint } from './hooks.ts'

/** Where a transaction stands; what is in quotes are hooks, which run when it gets there. */
export type TransactionState =
  | 'start' // 'transactionStart'
  | 'request' // 'request'
  | 'route' // 'beforeRouting'; then a route is found
  | 'routed' // 'afterRouting'; then it is answered by what the route names
  | 'answer' // a handler, a file or the like is about to answer
  | 'upstream' // 'upstream'; then a connection is waited for
  | 'send' // 'requestSend'; then the request is sent
  | 'wait' // for the head of the response
  | 'response' // 'response'
  | 'reply' // 'responseSend'; then the head is sent
  | 'body' // the body follows
  | 'tunnel' // the connection has switched, and bytes go both ways
  | 'close' // 'transactionClose'
  | 'closed'

/** The hooks of the states, and their bits. */
export const pointOf: Partial<Record<TransactionState, { point: HookPoint; bit: number }>> = Object.fromEntries(
  Object.entries({
    start: 'transactionStart',
    request: 'request',
    route: 'beforeRouting',
    routed: 'afterRouting',
    upstream: 'upstream',
    send: 'requestSend',
    response: 'response',
    reply: 'responseSend',
    close: 'transactionClose',
  } as const satisfies Partial<Record<TransactionState, HookPoint>>).map(([state, point]) => [
    state,
    { point, bit: bitsOfPoints(point) },
  ]),
)
