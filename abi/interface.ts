/** Requests about network interfaces (SIOC...) and the one interface there is. Source: uapi/linux/sockios.h, if.h, if_arp.h, ethtool.h. */
import { i32, type Struct, struct, u32 } from './struct.ts';

export const FIOSETOWN = 0x8901, SIOCSPGRP = 0x8902, FIOGETOWN = 0x8903, SIOCGPGRP = 0x8904, SIOCATMARK = 0x8905;
export const SIOCGSTAMP = 0x8906, SIOCGSTAMPNS = 0x8907, SIOCGSTAMP_NEW = 0x80108906, SIOCGSTAMPNS_NEW = 0x80108907;
export const SIOCADDRT = 0x890b, SIOCDELRT = 0x890c, SIOCGIFNAME = 0x8910, SIOCGIFCONF = 0x8912, SIOCGIFFLAGS = 0x8913, SIOCGIFADDR = 0x8915;
export const SIOCGIFDSTADDR = 0x8917, SIOCGIFBRDADDR = 0x8919, SIOCGIFNETMASK = 0x891b, SIOCGIFMETRIC = 0x891d, SIOCGIFMTU = 0x8921;
export const SIOCGIFHWADDR = 0x8927, SIOCGIFINDEX = 0x8933, SIOCGIFTXQLEN = 0x8942, SIOCETHTOOL = 0x8946, SIOCOUTQNSD = 0x894b;
export const SIOCDARP = 0x8953, SIOCGARP = 0x8954, SIOCSARP = 0x8955, SIOCGIFMAP = 0x8970;
export const IFNAMSIZ = 16;
/** Bytes of struct ifreq. */
export const IFREQ = 32;
export const ARPHRD_LOOPBACK = 772;
export const IFF_UP = 1, IFF_LOOPBACK = 8, IFF_RUNNING = 0x40, IFF_LOWER_UP = 0x10000;

export interface InterfaceList {
  size: number;
  at: number;
}
/** struct ifconf. */
export const interfaceList: Struct<InterfaceList> = struct<InterfaceList>({ size: i32, at: u32 });

/** What every machine has: its loopback, as Linux sets it up. */
export const LOOPBACK = { name: 'lo', index: 1, mtu: 65_536, queue: 1000, flags: IFF_UP | IFF_LOOPBACK | IFF_RUNNING, prefix: 8 } as const;
