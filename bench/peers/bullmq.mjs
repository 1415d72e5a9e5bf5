// A BullMQ process. settings: redis (a socket), connection, task, concurrency, and for filling the queue: jobs.
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'
import { addWhenAsked, begun, handled, ready, settings, started, syncRow } from './common.mjs'

const connection = new Redis({ path: settings.redis, maxRetriesPerRequest: null })
const removal = { removeOnComplete: true }

if (settings.jobs !== undefined) {
  const queue = new Queue('bench', { connection })
  for (let first = 1; first <= settings.jobs; first += 5000) {
    const count = Math.min(5000, settings.jobs - first + 1)
    await queue.addBulk(Array.from({ length: count }, (_, i) => ({ name: 'bench', data: { id: first + i }, opts: removal })))
  }
  await queue.close()
  process.exit(0)
}

const pool = new pg.Pool({ ...settings.connection, max: 24 })
const tasks = {
  noop: async () => {},
  row: async (id) => {
    const client = await pool.connect()
    try {
      await syncRow(client, id)
    } finally {
      client.release()
    }
  },
  latency: async (id) => started(id),
}

const worker = new Worker('bench', async (job) => {
  begun()
  await tasks[settings.task](job.data.id)
}, { connection, concurrency: settings.concurrency })
worker.on('completed', () => handled())
await worker.waitUntilReady()
if (settings.task === 'latency') {
  const queue = new Queue('bench', { connection })
  addWhenAsked((id) => queue.add('bench', { id }, removal))
}
ready()
process.on('SIGTERM', () => process.exit(0))
