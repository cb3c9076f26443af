/** What rtnetlink says of a machine that has nothing but its loopback: the link, its two addresses and their routes. Linux: net/core/rtnetlink.c. */
import { EINVAL, ENETUNREACH, ENODEV, EOPNOTSUPP, EPERM, errno } from '../abi/errno.ts';
import { ARPHRD_LOOPBACK, IFF_LOWER_UP, LOOPBACK } from '../abi/interface.ts';
import * as n from '../abi/netlink.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '../abi/socket.ts';
import { decoded, encoded } from '../abi/struct.ts';
import { type Answer, type Attribute, attributesOf, cString, type Request, type Responder, withAttributes, words } from './netlink.ts';

const RTM_LAST = 123;
const FOREVER = 0xffff_ffff;
const PERMANENT = 0x80;
/** Scopes, tables, origins and kinds of routes. */
const SCOPE_HOST = 254,
  SCOPE_LINK = 253,
  TABLE_LOCAL = 255,
  ORIGIN_KERNEL = 2,
  LOCAL = 2,
  BROADCAST = 3;

const byte = (value: number): Uint8Array => Uint8Array.of(value);
const here4 = Uint8Array.of(127, 0, 0, 1);
const here6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

export const respondRoute: Responder = (request) => {
  const { type, body, isDump } = request;
  if (type > RTM_LAST) throw errno(EOPNOTSUPP);
  // Linux passes over messages without a family.
  if (body.length < 1) return undefined;
  if ((type & 3) !== 2) throw errno(EPERM);
  switch (type) {
    case n.RTM_GETLINK:
      if (!isDump) checkLink(body);
      return [link()];
    case n.RTM_GETADDR:
      return isDump ? addresses(body[0]) : oneAddress(body);
    case n.RTM_GETROUTE:
      return isDump ? routes(body[0]) : [route(body)];
    case n.RTM_GETRULE:
      return dumped(request, rules(body[0]));
    case n.RTM_GETQDISC:
      return dumped(request, [queue()]);
    case n.RTM_GETNEIGH:
    case n.RTM_GETTCLASS:
    case n.RTM_GETTFILTER:
    case n.RTM_GETMULTICAST:
    case n.RTM_GETANYCAST:
    case n.RTM_GETNEIGHTBL:
    case n.RTM_GETADDRLABEL:
      return dumped(request, []);
    default:
      throw errno(EOPNOTSUPP);
  }
};

function dumped({ isDump }: Request, answers: readonly Answer[]): readonly Answer[] {
  if (!isDump) throw errno(EOPNOTSUPP);
  return answers;
}

// ---- Links -----------------------------------------------------------------------------------------------------------------------------

/** One link is asked for by number or by name. */
function checkLink(body: Uint8Array): void {
  const { index } = decoded(n.linkMessage, body);
  if (index === LOOPBACK.index) return;
  if (index !== 0) throw errno(index < 0 ? EINVAL : ENODEV);
  const asked = attributesOf(body, n.linkMessage.size);
  const name = asked.get(n.IFLA_IFNAME) ?? asked.get(n.IFLA_ALT_IFNAME);
  if (name === undefined) throw errno(EINVAL);
  if (String.fromCharCode(...name).replace(/\0.*$/s, '') !== LOOPBACK.name) throw errno(ENODEV);
}

function link(): Answer {
  const flags = LOOPBACK.flags | IFF_LOWER_UP;
  const fixed = encoded(n.linkMessage, { family: AF_UNSPEC, type: ARPHRD_LOOPBACK, index: LOOPBACK.index, flags, change: 0 });
  const hardware = new Uint8Array(6);
  const attributes: Attribute[] = [
    [n.IFLA_IFNAME, cString(LOOPBACK.name)],
    [n.IFLA_TXQLEN, words(LOOPBACK.queue)],
    [n.IFLA_OPERSTATE, byte(0)],
    [n.IFLA_LINKMODE, byte(0)],
    [n.IFLA_MTU, words(LOOPBACK.mtu)],
    [n.IFLA_MIN_MTU, words(0)],
    [n.IFLA_MAX_MTU, words(0)],
    [n.IFLA_GROUP, words(0)],
    [n.IFLA_PROMISCUITY, words(0)],
    [n.IFLA_NUM_TX_QUEUES, words(1)],
    [n.IFLA_NUM_RX_QUEUES, words(1)],
    [n.IFLA_CARRIER, byte(1)],
    [n.IFLA_CARRIER_CHANGES, words(0)],
    [n.IFLA_PROTO_DOWN, byte(0)],
    [n.IFLA_ADDRESS, hardware],
    [n.IFLA_BROADCAST, hardware],
    [n.IFLA_STATS64, new Uint8Array(200)],
    [n.IFLA_STATS, new Uint8Array(96)],
    [n.IFLA_QDISC, cString('noqueue')],
    [n.IFLA_MAP, new Uint8Array(32)],
  ];
  return { type: n.RTM_NEWLINK, bytes: withAttributes(fixed, attributes) };
}

// ---- Addresses -------------------------------------------------------------------------------------------------------------------------

function addresses(family: number): readonly Answer[] {
  const found = [];
  if (family !== AF_INET6) found.push(address4());
  if (family !== AF_INET) found.push(address6());
  return found;
}

/** Only those of IPv6 may be asked for one by one. */
function oneAddress(body: Uint8Array): readonly Answer[] {
  if (body[0] !== AF_INET6) throw errno(EOPNOTSUPP);
  const asked = attributesOf(body, n.addressMessage.size);
  const wanted = asked.get(n.IFA_LOCAL) ?? asked.get(n.IFA_ADDRESS);
  if (wanted === undefined) throw errno(EINVAL);
  if (!isAddress(wanted, here6)) throw errno(99);
  return [address6()];
}

function isAddress(given: Uint8Array, own: Uint8Array): boolean {
  return given.length === own.length && own.every((value, i) => given[i] === value);
}

function address4(): Answer {
  const fixed = encoded(n.addressMessage, { family: AF_INET, prefix: 8, flags: PERMANENT, scope: SCOPE_HOST, index: LOOPBACK.index });
  const attributes: Attribute[] = [
    [n.IFA_ADDRESS, here4],
    [n.IFA_LOCAL, here4],
    [n.IFA_LABEL, cString(LOOPBACK.name)],
    [n.IFA_FLAGS, words(PERMANENT)],
    [n.IFA_CACHEINFO, words(FOREVER, FOREVER, 0, 0)],
  ];
  return { type: n.RTM_NEWADDR, bytes: withAttributes(fixed, attributes) };
}

function address6(): Answer {
  const fixed = encoded(n.addressMessage, { family: AF_INET6, prefix: 128, flags: PERMANENT, scope: SCOPE_HOST, index: LOOPBACK.index });
  const attributes: Attribute[] = [
    [n.IFA_ADDRESS, here6],
    [n.IFA_CACHEINFO, words(FOREVER, FOREVER, 0, 0)],
    [n.IFA_FLAGS, words(PERMANENT)],
    [n.IFA_PROTO, byte(1)],
  ];
  return { type: n.RTM_NEWADDR, bytes: withAttributes(fixed, attributes) };
}

// ---- Routes and rules ------------------------------------------------------------------------------------------------------------------

function routes(family: number): readonly Answer[] {
  const found = [];
  if (family !== AF_INET6) {
    found.push(
      route4(Uint8Array.of(127, 0, 0, 0), 8, LOCAL),
      route4(here4, 32, LOCAL),
      route4(Uint8Array.of(127, 255, 255, 255), 32, BROADCAST),
    );
  }
  if (family !== AF_INET) found.push(route6());
  return found;
}

function route4(destination: Uint8Array, prefix: number, kind: number): Answer {
  const fixed = encoded(n.routeMessage, {
    family: AF_INET,
    destination: prefix,
    source: 0,
    tos: 0,
    table: TABLE_LOCAL,
    protocol: ORIGIN_KERNEL,
    scope: kind === LOCAL ? SCOPE_HOST : SCOPE_LINK,
    type: kind,
    flags: 0,
  });
  const attributes: Attribute[] = [
    [n.RTA_TABLE, words(TABLE_LOCAL)],
    [n.RTA_DST, destination],
    [n.RTA_PREFSRC, here4],
    [n.RTA_OIF, words(LOOPBACK.index)],
  ];
  return { type: n.RTM_NEWROUTE, bytes: withAttributes(fixed, attributes) };
}

function route6(): Answer {
  const fixed = encoded(n.routeMessage, {
    family: AF_INET6,
    destination: 128,
    source: 0,
    tos: 0,
    table: TABLE_LOCAL,
    protocol: ORIGIN_KERNEL,
    scope: 0,
    type: LOCAL,
    flags: 0,
  });
  const attributes: Attribute[] = [
    [n.RTA_TABLE, words(TABLE_LOCAL)],
    [n.RTA_DST, here6],
    [n.RTA_PRIORITY, words(0)],
    [n.RTA_OIF, words(LOOPBACK.index)],
    [n.RTA_CACHEINFO, new Uint8Array(32)],
    [n.RTA_PREF, byte(0)],
  ];
  return { type: n.RTM_NEWROUTE, bytes: withAttributes(fixed, attributes) };
}

/** Which way a packet to one address would go. */
function route(body: Uint8Array): Answer {
  const to = attributesOf(body, n.routeMessage.size).get(n.RTA_DST);
  if (body[0] === AF_INET && (to === undefined || (to.length === 4 && to[0] === 127))) return route4(to ?? here4, 32, LOCAL);
  if (body[0] === AF_INET6 && (to === undefined || isAddress(to, here6))) return route6();
  throw errno(body[0] === AF_INET || body[0] === AF_INET6 ? ENETUNREACH : EOPNOTSUPP);
}

/** Looked up: the local table first, then main, then (of IPv4) default. */
function rules(family: number): readonly Answer[] {
  const found: Answer[] = [];
  const FRA_PRIORITY = 6,
    FRA_SUPPRESS_PREFIXLEN = 14,
    FRA_TABLE = 15,
    FRA_PROTOCOL = 21;
  const add = (of: number, table: number, priority: number): void => {
    const fixed = Uint8Array.of(of, 0, 0, 0, table, 0, 0, 1, 0, 0, 0, 0);
    const attributes: Attribute[] = [
      [FRA_TABLE, words(table)],
      [FRA_SUPPRESS_PREFIXLEN, words(FOREVER)],
      [FRA_PROTOCOL, byte(2)],
    ];
    if (priority !== 0) attributes.push([FRA_PRIORITY, words(priority)]);
    found.push({ type: n.RTM_NEWRULE, bytes: withAttributes(fixed, attributes) });
  };
  if (family !== AF_INET6) {
    add(AF_INET, 255, 0);
    add(AF_INET, 254, 32_766);
    add(AF_INET, 253, 32_767);
  }
  if (family !== AF_INET) {
    add(AF_INET6, 255, 0);
    add(AF_INET6, 254, 32_766);
  }
  return found;
}

/** The loopback's queueing discipline is none. */
function queue(): Answer {
  const TCA_KIND = 1;
  return { type: n.RTM_NEWQDISC, bytes: withAttributes(words(0, LOOPBACK.index, 0, FOREVER, 2), [[TCA_KIND, cString('noqueue')]]) };
}
