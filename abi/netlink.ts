/** Netlink: protocols, message headers, and what rtnetlink says of interfaces, addresses and routes. Source: uapi/linux/netlink.h, rtnetlink.h, if_link.h, genetlink.h. */
import { i32, type Struct, struct, u16, u32, u8 } from './struct.ts';

export const NETLINK_ROUTE = 0, NETLINK_USERSOCK = 2, NETLINK_SOCK_DIAG = 4, NETLINK_CONNECTOR = 11, NETLINK_KOBJECT_UEVENT = 15, NETLINK_GENERIC = 16;
export const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1, NETLINK_DROP_MEMBERSHIP = 2, NETLINK_LIST_MEMBERSHIPS = 9, NETLINK_CAP_ACK = 10;
export const NETLINK_GET_STRICT_CHK = 12;

export const NLMSG_ERROR = 2, NLMSG_DONE = 3, NLMSG_MIN_TYPE = 16;
export const NLM_F_REQUEST = 1, NLM_F_MULTI = 2, NLM_F_ACK = 4, NLM_F_DUMP = 0x300, NLM_F_CAPPED = 0x100;

export const RTM_BASE = 16, RTM_NEWLINK = 16, RTM_GETLINK = 18, RTM_NEWADDR = 20, RTM_GETADDR = 22, RTM_NEWROUTE = 24, RTM_GETROUTE = 26;
export const RTM_GETNEIGH = 30, RTM_NEWRULE = 32, RTM_GETRULE = 34, RTM_NEWQDISC = 36, RTM_GETQDISC = 38, RTM_GETTCLASS = 42, RTM_GETTFILTER = 46;
export const RTM_GETMULTICAST = 58, RTM_GETANYCAST = 62, RTM_GETNEIGHTBL = 66, RTM_GETADDRLABEL = 74;

export const IFLA_ADDRESS = 1, IFLA_BROADCAST = 2, IFLA_IFNAME = 3, IFLA_MTU = 4, IFLA_QDISC = 6, IFLA_STATS = 7, IFLA_TXQLEN = 13, IFLA_MAP = 14;
export const IFLA_OPERSTATE = 16, IFLA_LINKMODE = 17, IFLA_STATS64 = 23, IFLA_GROUP = 27, IFLA_PROMISCUITY = 30, IFLA_NUM_TX_QUEUES = 31;
export const IFLA_NUM_RX_QUEUES = 32, IFLA_CARRIER = 33, IFLA_CARRIER_CHANGES = 35, IFLA_PROTO_DOWN = 39, IFLA_MIN_MTU = 50, IFLA_MAX_MTU = 51;
export const IFLA_ALT_IFNAME = 53;
export const IFA_ADDRESS = 1, IFA_LOCAL = 2, IFA_LABEL = 3, IFA_CACHEINFO = 6, IFA_FLAGS = 8, IFA_PROTO = 11;
export const RTA_DST = 1, RTA_OIF = 4, RTA_PRIORITY = 6, RTA_PREFSRC = 7, RTA_CACHEINFO = 12, RTA_TABLE = 15, RTA_PREF = 20;

export interface NetlinkHeader {
  size: number;
  type: number;
  flags: number;
  sequence: number;
  port: number;
}
export const netlinkHeader: Struct<NetlinkHeader> = struct<NetlinkHeader>({ size: u32, type: u16, flags: u16, sequence: u32, port: u32 });

export interface LinkMessage {
  family: number;
  type: number;
  index: number;
  flags: number;
  change: number;
}
/** struct ifinfomsg. */
export const linkMessage: Struct<LinkMessage> = struct<LinkMessage>({ family: u16, type: u16, index: i32, flags: u32, change: u32 });

export interface AddressMessage {
  family: number;
  prefix: number;
  flags: number;
  scope: number;
  index: number;
}
/** struct ifaddrmsg. */
export const addressMessage: Struct<AddressMessage> = struct<AddressMessage>({ family: u8, prefix: u8, flags: u8, scope: u8, index: u32 });

export interface RouteMessage {
  family: number;
  destination: number;
  source: number;
  tos: number;
  table: number;
  protocol: number;
  scope: number;
  type: number;
  flags: number;
}
/** struct rtmsg. */
export const routeMessage: Struct<RouteMessage> = struct<RouteMessage>({
  family: u8, destination: u8, source: u8, tos: u8, table: u8, protocol: u8, scope: u8, type: u8, flags: u32,
});

export interface NetlinkAddress {
  family: number;
  padding: number;
  port: number;
  groups: number;
}
export const netlinkAddress: Struct<NetlinkAddress> = struct<NetlinkAddress>({ family: u16, padding: u16, port: u32, groups: u32 });
