// The message that is sent to and fro: an order whose envelope has about 1 KB.

export const namespace = 'urn:bench:orders'
export const action = `${namespace}/echo`

export const order = {
  id: 123456,
  customer: 'ACME Corporation',
  lines: Array.from({ length: 6 }, (_, index) => ({
    sku: `SKU-${index}`,
    quantity: index + 1,
    note: 'one line of an order',
  })),
}

/** Runs exchanges when it is told to, and tells what they cost: for a program that was forked. */
export function serveParent(exchange) {
  process.on('message', async ({ count, parallel }) => {
    const before = process.cpuUsage()
    let left = count
    const work = async () => {
      while (left-- > 0) await exchange()
    }
    await Promise.all(Array.from({ length: parallel }, work))
    const { user, system } = process.cpuUsage(before)
    process.send((user + system) / count)
  })
  process.send('ready')
}

/** Throws if an answer is not the order. */
export function check({ id, customer, lines }) {
  if (Number(id) !== order.id || customer !== order.customer || lines !== order.lines.length) {
    throw new Error('the answer is not the order')
  }
}
