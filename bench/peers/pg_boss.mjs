// A pg-boss process. settings: connection, migrateOnly, task, batch, notify.
import { PgBoss } from 'pg-boss'
import pg from 'pg'
import { addWhenAsked, begun, handled, ready, settings, started, syncMany, syncRow, syncStatement } from './common.mjs'

const boss = new PgBoss({ ...settings.connection, useListenNotify: settings.notify, schedule: false })
boss.on('error', (error) => console.error(error))
await boss.start()
if (settings.migrateOnly) {
  await boss.createQueue('bench')
  await boss.createQueue('bench_notify', { notify: true })
  await boss.stop()
  process.exit(0)
}

const pool = new pg.Pool({ ...settings.connection, max: 24 })

async function withClient(work) {
  const client = await pool.connect()
  try {
    return await work(client)
  } finally {
    client.release()
  }
}

const ids = (jobs) => jobs.map((job) => job.data.id)

// What a handler does with a batch of jobs.
const tasks = {
  noop: async () => {},
  // Each job by itself, 24 at a time, as the pool has that many connections.
  row: (jobs) => Promise.all(ids(jobs).map((id) => withClient((client) => syncRow(client, id)))),
  statement: (jobs) => Promise.all(ids(jobs).map((id) => withClient((client) => syncStatement(client, id)))),
  // One transaction, in which a single job may fail.
  savepoint: (jobs) => withClient(async (client) => {
    await client.query('BEGIN; SAVEPOINT job')
    for (const id of ids(jobs)) {
      await syncStatement(client, id)
      await client.query('RELEASE job; SAVEPOINT job')
    }
    await client.query('COMMIT')
  }),
  set: (jobs) => withClient((client) => syncMany(client, ids(jobs))),
  latency: async (jobs) => jobs.forEach((job) => started(job.data.id)),
}

const queue = settings.notify ? 'bench_notify' : 'bench'
if (settings.task === 'latency') addWhenAsked((id) => boss.send(queue, { id }))
await boss.work(queue, {
  batchSize: settings.batch,
  pollingIntervalSeconds: 0.5,
  burstWhenBatchFull: settings.batch > 1,
}, async (jobs) => {
  begun()
  await tasks[settings.task](jobs)
  handled(jobs.length)
})
ready()
process.on('SIGTERM', () => process.exit(0))
