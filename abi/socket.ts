/** Sockets: families, types, message flags, options and the structures around them. Source: uapi/linux/socket.h, net.h, asm-generic/socket.h, in.h. */
import { i32, type Struct, struct, u8, u32, u64 } from './struct.ts';

export const AF_UNSPEC = 0, AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, AF_NETLINK = 16, AF_PACKET = 17, AF_MAX = 46;
export const SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3, SOCK_SEQPACKET = 5, SOCK_MAX = 11;
export const SOCK_TYPE_MASK = 0xf, SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000;
export const IPPROTO_IP = 0, IPPROTO_TCP = 6, IPPROTO_UDP = 17, IPPROTO_IPV6 = 41, IPPROTO_MPTCP = 262;
export const SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2;

export const MSG_OOB = 1, MSG_PEEK = 2, MSG_CTRUNC = 8, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_EOR = 0x80, MSG_WAITALL = 0x100;
export const MSG_ERRQUEUE = 0x2000, MSG_NOSIGNAL = 0x4000, MSG_MORE = 0x8000, MSG_WAITFORONE = 0x10000, MSG_CMSG_CLOEXEC = 0x4000_0000;

export const SOL_SOCKET = 1;
export const SO_TYPE = 3, SO_ERROR = 4, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_LINGER = 13, SO_PASSCRED = 16, SO_PEERCRED = 17;
export const SO_RCVTIMEO = 20, SO_SNDTIMEO = 21, SO_ACCEPTCONN = 30, SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33, SO_PROTOCOL = 38, SO_DOMAIN = 39;
export const SO_REUSEADDR = 2, SO_OOBINLINE = 10, SO_PRIORITY = 12, SO_REUSEPORT = 15, SO_BINDTODEVICE = 25, SO_PEERNAME = 28, SO_TIMESTAMP = 29;
export const SO_TIMESTAMPNS = 35, SO_MEMINFO = 55, SO_COOKIE = 57, SO_PEERGROUPS = 59, SO_PASSPIDFD = 76, SO_PEERPIDFD = 77, SO_TIMESTAMP_NEW = 63, SO_TIMESTAMPNS_NEW = 64;
export const TCP_MAXSEG = 2, TCP_INFO = 11, TCP_CONGESTION = 13, TCP_TIMESTAMP = 24, TCP_ULP = 31, TCP_INQ = 36, TCP_IS_MPTCP = 43;
export const SOL_MPTCP = 284, MPTCP_INFO = 1;
export const IP_TOS = 1, IP_TTL = 2, IP_PKTINFO = 8, IP_RECVERR = 11, IP_RECVTTL = 12, IP_RECVTOS = 13, IP_RECVORIGDSTADDR = 20;
export const IPV6_UNICAST_HOPS = 16, IPV6_RECVERR = 25, IPV6_V6ONLY = 26, IPV6_RECVPKTINFO = 49, IPV6_PKTINFO = 50, IPV6_RECVHOPLIMIT = 51, IPV6_HOPLIMIT = 52;
export const IPV6_RECVTCLASS = 66, IPV6_TCLASS = 67, IPV6_RECVORIGDSTADDR = 74;
export const UDP_CORK = 1, UDP_SEGMENT = 103;
export const SO_RCVLOWAT = 18;
export const SO_RCVTIMEO_NEW = 66, SO_SNDTIMEO_NEW = 67;
export const SO_ATTACH_FILTER = 26, SO_DETACH_FILTER = 27, SO_LOCK_FILTER = 44, SO_ATTACH_BPF = 50;
export const SO_ATTACH_REUSEPORT_CBPF = 51, SO_ATTACH_REUSEPORT_EBPF = 52, SO_DETACH_REUSEPORT_BPF = 68;
export const IP_MULTICAST_IF = 32, IP_ADD_MEMBERSHIP = 35, IP_DROP_MEMBERSHIP = 36, IP_UNBLOCK_SOURCE = 37, IP_BLOCK_SOURCE = 38;
export const IP_ADD_SOURCE_MEMBERSHIP = 39, IP_DROP_SOURCE_MEMBERSHIP = 40, IP_MSFILTER = 41, IPV6_JOIN_GROUP = 20, IPV6_LEAVE_GROUP = 21;
export const MCAST_JOIN_GROUP = 42, MCAST_BLOCK_SOURCE = 43, MCAST_UNBLOCK_SOURCE = 44, MCAST_LEAVE_GROUP = 45, MCAST_JOIN_SOURCE_GROUP = 46;
export const MCAST_LEAVE_SOURCE_GROUP = 47, MCAST_MSFILTER = 48;
export const SCM_RIGHTS = 1, SCM_CREDENTIALS = 2, SCM_PIDFD = 4;
/** SCM_MAX_FD: descriptors in one message. */
export const MOST_RIGHTS = 253;

/** Bytes of struct sockaddr_storage, sockaddr_un, sockaddr_in and sockaddr_in6. */
export const ADDRESS_MAX = 128, UNIX_ADDRESS = 110, INET_ADDRESS = 16, INET6_ADDRESS = 28, NETLINK_ADDRESS = 12;

export interface MessageHeader {
  name: number;
  nameSize: number;
  iov: number;
  iovCount: number;
  control: number;
  controlSize: number;
  flags: number;
}
export const messageHeader: Struct<MessageHeader> = struct<MessageHeader>({
  name: u32, nameSize: i32, iov: u32, iovCount: u32, control: u32, controlSize: u32, flags: u32,
});
export interface ControlHeader {
  size: number;
  level: number;
  type: number;
}
export const controlHeader: Struct<ControlHeader> = struct<ControlHeader>({ size: u32, level: i32, type: i32 });
export interface Ucred {
  pid: number;
  uid: number;
  gid: number;
}
/** What MPTCP_INFO tells of a connection. Source: uapi/linux/mptcp.h. */
export interface MptcpInfo {
  subflows: number;
  addrSignalled: number;
  addrAccepted: number;
  subflowsMax: number;
  addrSignalMax: number;
  addrAcceptedMax: number;
  flags: number;
  token: number;
  writeSeq: bigint;
  sndUna: bigint;
  rcvNxt: bigint;
  localAddrUsed: number;
  localAddrMax: number;
  csumEnabled: number;
  retransmits: number;
  bytesRetrans: bigint;
  bytesSent: bigint;
  bytesReceived: bigint;
  bytesAcked: bigint;
  subflowsTotal: number;
  lastDataSent: number;
  lastDataRecv: number;
  lastAckRecv: number;
}
export const MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED = 2;
export const mptcpInfo: Struct<MptcpInfo> = struct<MptcpInfo>({
  subflows: u8, addrSignalled: u8, addrAccepted: u8, subflowsMax: u8, addrSignalMax: u8, addrAcceptedMax: u8, flags: u32, token: u32,
  writeSeq: u64, sndUna: u64, rcvNxt: u64, localAddrUsed: u8, localAddrMax: u8, csumEnabled: u8, retransmits: u32,
  bytesRetrans: u64, bytesSent: u64, bytesReceived: u64, bytesAcked: u64, subflowsTotal: u8, lastDataSent: u32, lastDataRecv: u32, lastAckRecv: u32,
});

export const ucred: Struct<Ucred> = struct<Ucred>({ pid: i32, uid: u32, gid: u32 });
