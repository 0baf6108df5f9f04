import { numberOfPoint } from './hooks.ts'

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

const transactionStart = numberOfPoint('transactionStart')
const request = numberOfPoint('request')
const beforeRouting = numberOfPoint('beforeRouting')
const afterRouting = numberOfPoint('afterRouting')
const upstream = numberOfPoint('upstream')
const requestSend = numberOfPoint('requestSend')
const response = numberOfPoint('response')
const responseSend = numberOfPoint('responseSend')
const transactionClose = numberOfPoint('transactionClose')

/** The number of the point whose hooks run in a state; -1 for none. */
export function pointOf(state: TransactionState): number {
  switch (state) {
    case 'start':
      return transactionStart
    case 'request':
      return request
    case 'route':
      return beforeRouting
    case 'routed':
      return afterRouting
    case 'upstream':
      return upstream
    case 'send':
      return requestSend
    case 'response':
      return response
    case 'reply':
      return responseSend
    case 'close':
      return transactionClose
    case 'answer':
    case 'wait':
    case 'body':
    case 'tunnel':
    case 'closed':
      return -1
  }
}
