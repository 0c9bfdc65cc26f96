// rnx job network flows: what a job connected to, and what was refused to it.

import type { FlowDetail } from '../client/messages.ts';
import { getJobFlows } from '../client/methods.ts';
import { jsonLine, jsonText, localTime, roughSize, table, visible } from './print.ts';
import type { Session } from './session.ts';

/** Shows the flows of a job; where they are followed, each when it begins and when it is over. */
export async function showFlows(uuid: string, follow: boolean, session: Session): Promise<number> {
  const connection = await session.connect();
  const flows = new Map<number, FlowDetail>();
  let omitted = 0;
  for await (const flow of connection.serverStream(getJobFlows, { uuid, follow })) {
    if (flow.number === 0) omitted = Number(flow.omitted);
    else if (follow) await session.out.write(session.json ? jsonLine(jsonOf(flow)) : lineOf(flow));
    flows.set(flow.number, flow);
  }
  flows.delete(0);
  const { out, json } = session;
  if (follow) await out.write(json ? leftJson(omitted) : leftOut(omitted));
  else if (json) await out.write(jsonText({ flows: [...flows.values()].map(jsonOf), omitted }));
  else await out.write(`${tableOf([...flows.values()], out.columns ?? 0)}${leftOut(omitted)}`);
  return 0;
}

function leftOut(omitted: number): string {
  return omitted === 0 ? '' : `${omitted} more were left out\n`;
}

function leftJson(omitted: number): string {
  return omitted === 0 ? '' : jsonLine({ omitted });
}

function lineOf(flow: FlowDetail): string {
  const [time = '', ...rest] = cellsOf(flow);
  const over = flow.endTime !== '' && flow.verdict === 'allowed' ? ' over' : '';
  return `${time}${over} ${rest.filter((cell) => cell !== '').join(' ')}\n`;
}

function tableOf(flows: readonly FlowDetail[], columns: number): string {
  const titles = ['TIME', 'VERDICT', 'WAY', 'PROTO', 'PLACE', 'SENT', 'RECEIVED', 'NAME'];
  return table(
    titles.map((title) => ({ title, width: 0 })),
    flows.map(cellsOf),
    columns,
    64,
  );
}

function cellsOf(flow: FlowDetail): string[] {
  const { verdict, way, protocol, address, port, name } = flow;
  const isAllowed = verdict === 'allowed';
  return [
    localTime(flow.time),
    ...[verdict, way, protocol].map(visible),
    way === 'in' ? `${visible(address)} to :${port}` : placeOf(visible(address), port),
    isAllowed ? roughSize(Number(flow.sentBytes)) : '',
    isAllowed ? roughSize(Number(flow.receivedBytes)) : '',
    visible(name),
  ];
}

function placeOf(address: string, port: number): string {
  if (port === 0) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function jsonOf(flow: FlowDetail): object {
  const { number, time, verdict, way, protocol, address, port, name } = flow;
  return {
    ...{ number, time, end_time: flow.endTime, verdict, way, protocol, address, port, name },
    sent_bytes: Number(flow.sentBytes),
    received_bytes: Number(flow.receivedBytes),
  };
}
