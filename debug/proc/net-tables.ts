/** What /proc/net says that no socket changes: tables of a loopback that counts nothing, and its own groups and routes. */

const zeros = (count: number): string => Array.from({ length: count }, () => '0').join(' ');

/** Names and zeros, as /proc/net/snmp and netstat have them. */
function counters(group: string, names: string): string {
  return `${group}: ${names}\n${group}: ${zeros(names.split(' ').length)}\n`;
}

const IP =
  'InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ' +
  'ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates';
const ICMP =
  'InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps InTimestamps ' +
  'InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects ' +
  'OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps';
const TCP = 'ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors';
const UDP = 'InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors';

const SNMP = [
  `Ip: Forwarding DefaultTTL ${IP}\nIp: 2 64 ${zeros(17)}\n`,
  counters('Icmp', ICMP),
  `Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ${TCP}\nTcp: 1 200 120000 -1 ${zeros(11)}\n`,
  counters('Udp', UDP),
  counters('UdpLite', UDP),
].join('');

const NETSTAT =
  counters(
    'TcpExt',
    'SyncookiesSent SyncookiesRecv SyncookiesFailed ListenOverflows ListenDrops TCPTimeouts TCPAbortOnData TCPAbortOnClose',
  ) + counters('IpExt', 'InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets');

const NOWHERE = '0'.repeat(32);
const HERE = `${'0'.repeat(31)}1`;
const LOOPBACK_6 = [
  `${HERE} 80 ${NOWHERE} 00 ${NOWHERE} 00000000 00000002 00000000 80200001       lo\n`,
  `${NOWHERE} 00 ${NOWHERE} 00 ${NOWHERE} ffffffff 00000001 00000000 00200200       lo\n`,
].join('');

export const NET_TABLES: Readonly<Record<string, string>> = {
  dev_mcast: '',
  igmp: 'Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n',
  igmp6: `1    lo              ff020000000000000000000000000001     1 0000000C 0\n1    lo              ff010000000000000000000000000001     1 00000008 0\n`,
  ip6_flowlabel: 'Label S Owner  Users  Linger Expires  Dst                              Opt\n',
  ipv6_route: LOOPBACK_6,
  mcfilter: 'Idx Device        MCA        SRC    INC    EXC\n',
  netstat: NETSTAT,
  psched: '000003e8 00000040 000f4240 3b9aca00\n',
  ptype: 'Type Device      Function\n0800          ip_rcv\n86dd          ipv6_rcv\n',
  rt6_stats: '0001 0001 0000 0001 0000 0000 0000\n',
  snmp: SNMP,
  softnet_stat: `${Array.from({ length: 15 }, () => '00000000').join(' ')}\n`,
};
