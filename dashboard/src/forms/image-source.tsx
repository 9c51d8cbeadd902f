// Where an image's bits come from: a file of this computer, or an address that the cloud fetches by itself where it offers that.
import { FileUpload, FormSelect, FormSelectOption, Radio, TextInput } from '@patternfly/react-core'
import { useQuery } from '@tanstack/react-query'
import { importMethodsQuery, storesQuery } from '../api/queries.ts'
import { useText } from '../i18n/index.ts'
import { Field } from '../ui/field.tsx'
import { bytes } from '../ui/format.ts'

export type Source = { from: 'file' | 'web'; file?: File | undefined; uri: string; store?: string | undefined }

export const noSource: Source = { from: 'file', uri: '' }

const isWebAddress = (text: string) => /^https?:\/\/[^\s/]+/i.test(text.trim())

export const isComplete = ({ from, file, uri }: Source): boolean =>
  from === 'file' ? file !== undefined && file.size > 0 : isWebAddress(uri)

type ImageSourceProps = { source: Source; change: (source: Source) => void; disabled: boolean; onlyFile?: boolean }

export function ImageSource({ source, change, disabled, onlyFile = false }: ImageSourceProps) {
  const t = useText()
  const methods = useQuery(importMethodsQuery)
  const stores = useQuery(storesQuery)
  const { from, file, uri } = source
  const fromWeb = !onlyFile && (methods.data?.includes('web-download') ?? false)
  return (
    <>
      {fromWeb && (
        <Field label={t.images.source} id="image-source" role="radiogroup">
          <div className="wisp-row">
            {(['file', 'web'] as const).map((kind) => (
              <Radio
                key={kind}
                id={`image-from-${kind}`}
                name="image-source"
                label={t.images.sources[kind]}
                isChecked={from === kind}
                isDisabled={disabled}
                onChange={() => change({ ...source, from: kind })}
              />
            ))}
          </div>
        </Field>
      )}
      {from === 'file' ? (
        <Field label={t.images.file} id="image-file" required>
          <FileUpload
            id="image-file"
            filename={file === undefined ? '' : `${file.name} (${bytes(file.size)})`}
            filenamePlaceholder={t.images.fileHelp}
            browseButtonText={t.images.chooseFile}
            hideDefaultPreview
            isClearButtonDisabled
            clearButtonText=""
            isDisabled={disabled}
            onFileInputChange={(_event, chosen) => change({ ...source, file: chosen })}
            className="wisp-file"
          />
        </Field>
      ) : (
        <Field
          label={t.images.address}
          id="image-uri"
          required
          help={t.images.addressHelp}
          error={uri === '' || isWebAddress(uri) ? undefined : t.images.addressBad}
        >
          <TextInput
            id="image-uri"
            type="url"
            placeholder="https://"
            value={uri}
            isDisabled={disabled}
            onChange={(_event, value) => change({ ...source, uri: value })}
          />
        </Field>
      )}
      {stores.data !== undefined && stores.data.length > 1 && (
        <Field label={t.images.store} id="image-store">
          <FormSelect
            id="image-store"
            value={source.store ?? stores.data[0]?.id}
            isDisabled={disabled}
            onChange={(_event, store) => change({ ...source, store })}
          >
            {stores.data.map(({ id, description }) => (
              <FormSelectOption
                key={id}
                value={id}
                label={description === undefined || description === '' ? id : `${id}: ${description}`}
              />
            ))}
          </FormSelect>
        </Field>
      )}
    </>
  )
}
