// Send as users of @pagerduty/pdjs do: one command a line on stdin, and on stdout what the client said to it.
import { createInterface } from 'node:readline';
// docs/clients.md shows from here
import { event, trigger, acknowledge, resolve, change } from '@pagerduty/pdjs';

const server = process.env.RELAY_SERVER; // 'pagerelay.example.com:9095': host and port, always https
const routing_key = process.env.PD_ROUTING_KEY;

const opened = (dedup_key) =>
  trigger({
    server,
    data: {
      routing_key,
      dedup_key,
      payload: {
        summary: 'The disk of srv01 is full',
        source: 'disk-monitor',
        severity: 'critical',
        component: 'storage',
        group: 'infrastructure',
        class: 'disk',
        custom_details: { disk_usage: '95%', mount_point: '/data', available_gb: 5 },
      },
      links: [{ href: 'https://monitoring.example.com/srv01', text: 'Monitoring' }],
    },
  });
const taken = (dedup_key) => acknowledge({ server, data: { routing_key, dedup_key } });
const over = (dedup_key) => resolve({ server, data: { routing_key, dedup_key } });
const deployed = (summary) =>
  change({
    server,
    data: {
      routing_key,
      payload: { summary, source: 'pipeline', timestamp: new Date().toISOString(), custom_details: {} },
      links: [],
    },
  });
// to here

const say = {
  trigger: opened,
  acknowledge: taken,
  resolve: over,
  change: deployed,
  mint: () =>
    trigger({ server, data: { routing_key, payload: { summary: 'The disk', source: 'srv02', severity: 'warning' } } }),
  bad: (dedup_key) =>
    trigger({
      server,
      data: { routing_key, dedup_key, payload: { summary: 'The disk', source: 'srv01', severity: 'Info' } },
    }),
  empty: () => event({ server, routingKey: routing_key }), // many guides write this: it posts an empty body at once
};

for await (const line of createInterface({ input: process.stdin })) {
  const [action, ...rest] = line.split(' ');
  let told;
  try {
    const { status, data } = await say[action](rest.join(' '));
    told = status === 202 ? data : { error: `status ${status}`, message: JSON.stringify(data) };
  } catch (error) {
    told = { error: error.name, message: String(error.message) };
  }
  console.log(JSON.stringify(told));
}
