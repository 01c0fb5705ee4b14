// The parts of the server's JSON that the page reads. Everything is optional: the page also works
// against a server that leaves fields out.
import type { Timings } from "../model/types.ts";

export interface Delta {
  content?: string | null;
  reasoning_content?: string | null;
  tool_calls?: {
    index: number;
    id?: string;
    function?: { name?: string; arguments?: string };
  }[];
}

export interface Chunk {
  id?: string;
  model?: string;
  choices?: { delta?: Delta; finish_reason?: string | null }[];
  usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: { cached_tokens?: number };
  } | null;
  timings?: Timings;
  prompt_progress?: { total: number; cache: number; processed: number; time_ms: number };
  error?: WireError;
}

export interface WireError {
  code?: number;
  message?: string;
  type?: string;
  n_prompt_tokens?: number;
  n_ctx?: number;
}

export interface Props {
  default_generation_settings?: { params?: Record<string, unknown>; n_ctx?: number };
  total_slots?: number;
  model_alias?: string;
  model_ftype?: string;
  modalities?: { vision?: boolean };
  build_info?: string;
  speculative?: { type?: string; n_max?: number; adaptive?: boolean; mtp_present?: boolean };
}

/** `GET /v1/spec`: what the server's drafting does now, over all requests. */
export interface SpeculationState {
  type?: string;
  n_max?: number;
  adaptive?: boolean;
  mtp_present?: boolean;
  parked?: boolean;
  parked_reason?: string;
  expected_speedup?: number;
  acceptance_per_pos?: number[];
  /** Rounds by the number of drafts they made, from 0. */
  rounds_by_depth?: number[];
}
