// (d) @supabase/stripe-sync-engine behind Fastify, as its documentation shows.
import { createRequire } from 'node:module'
import Fastify from 'fastify'

// its ESM build cannot find its own migrations (`__dirname is not defined`, 0.48.5); the CommonJS build can
const { StripeSync, runMigrations } = createRequire(import.meta.url)('@supabase/stripe-sync-engine')

const { DATABASE_URL: databaseUrl, PORT: port, STRIPE_SECRET: stripeWebhookSecret } = process.env
await runMigrations({ databaseUrl, schema: 'stripe', logger: { info() {}, error: console.error } })
const sync = new StripeSync({
  poolConfig: { connectionString: databaseUrl, max: 10 },
  stripeWebhookSecret,
  stripeSecretKey: 'sk_test_benchmarkbenchmarkbenchmark',
})
const app = Fastify({ logger: { level: 'error' } })
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
app.post('/webhook', async (request, reply) => {
  await sync.processWebhook(request.body, request.headers['stripe-signature'])
  return reply.code(204).send()
})
await app.listen({ host: '127.0.0.1', port: Number(port) })
