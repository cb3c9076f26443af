/** What lies beyond the machine's own loopback, where there is anything (`--net host`): a port that a host adapter implements. */

/** The bytes of a struct sockaddr. */
export type Address = Uint8Array;

/** Sees one connection of the host. */
export interface StreamEvents {
  /** It stands; `local` is our end's address. */
  connected(local: Address): void;
  bytes(bytes: Uint8Array): void;
  /** The host takes more again. */
  room(): void;
  /** Nothing more comes. */
  ended(): void;
  /** It is over; an errno where it was broken off. */
  closed(error: number): void;
}

export interface HostConnection {
  /** False: no more until `room`. */
  write(bytes: Uint8Array): boolean;
  end(): void;
  close(): void;
  /** Whether bytes are to come. */
  flow(on: boolean): void;
}

export interface ServerEvents {
  listening(): void;
  failed(error: number): void;
  /** Somebody has come: what is to see the connection. */
  arrived(connection: HostConnection, from: Address): StreamEvents | undefined;
}

export interface DatagramEvents {
  received(bytes: Uint8Array, from: Address): void;
  failed(error: number): void;
}

export interface HostDatagrams {
  send(bytes: Uint8Array, to: Address): void;
  close(): void;
}

/** The host's network. */
export interface HostNetwork {
  connect(to: Address, events: StreamEvents): HostConnection;
  listen(at: Address, events: ServerEvents): { close(): void };
  /** Until what was sent has left, or a moment has passed: before the machine's process ends. */
  settle(): Promise<void>;
  /** `at` undefined: any port. */
  datagrams(family: number, at: Address | undefined, events: DatagramEvents): HostDatagrams;
}
