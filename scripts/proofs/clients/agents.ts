// The service function of the setup wizard's frontend, as its contract has it, and the little of axios that it uses.

export interface ReleaseArtifactResponse {
  platform: string
  filename: string
  checksum: string
  file_size: number | null
  download_url: string | null
  signed_url: string | null
}

export interface ActiveReleaseResponse {
  guid: string
  version: string
  artifacts: ReleaseArtifactResponse[]
  notes: string | null
  dev_mode: boolean
}

const AGENT_API_PATH = '/api/agent/v1'

export async function getActiveRelease(): Promise<ActiveReleaseResponse> {
  const response = await api.get<ActiveReleaseResponse>(
    `${AGENT_API_PATH}/releases/active`
  )
  return response.data
}

/** Like axios: a JSON body becomes `data`; any status but 2xx rejects, with `response` in the error. */
export const api = {
  defaults: { baseURL: '', headers: {} as Record<string, string> },

  async get<T>(path: string): Promise<{ status: number; data: T }> {
    const { baseURL, headers } = api.defaults
    const answer = await fetch(baseURL + path, { headers, credentials: 'same-origin' })
    const response = { status: answer.status, data: await answer.json() }
    if (!answer.ok) throw Object.assign(new Error(`status ${answer.status}`), { response })
    return response
  },
}
