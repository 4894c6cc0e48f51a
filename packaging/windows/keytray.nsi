; The installer for Windows: for one user, without administrator's rights.
; packaging/windows/build.sh makes it, and says what it is given.
;
;   keytray-setup.exe /S [/AUTOSTART] [/NOPATH] [/D=C:\folder]   installs or upgrades, silently
;   uninstall.exe /S                                             removes it; logins stay
;
; /D is the last, and without quotation marks. An upgrade keeps what was chosen.

Unicode true
Target amd64-unicode ; as the programs are, and what Wine without a 32-bit part can run
!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include Sections.nsh
!include WordFunc.nsh

Name "Keytray"
OutFile "${OUT}"
RequestExecutionLevel user
ManifestDPIAware true
InstallDir "$LOCALAPPDATA\Programs\Keytray"
InstallDirRegKey HKCU "Software\Keytray" "InstallDir"
SetCompressor /SOLID ${COMPRESSOR}
ShowInstDetails nevershow
ShowUninstDetails nevershow
BrandingText "Keytray ${VERSION}"
!ifdef SIGN
  !uninstfinalize '"${SIGN}" "%1"' = 0
!endif

!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\Keytray"
!define RUN "Software\Microsoft\Windows\CurrentVersion\Run" ; cmd/tray/autostart writes the same
!define APPROVED "Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
!define ONCE "Software\Microsoft\Windows\CurrentVersion\RunOnce"
!define HOME "https://github.com/keytray/keytray"
!define OLD "keytray-old-" ; how the files are called that a running program still needs

!define MUI_ICON "${BUILD}\keytray.ico"
!define MUI_UNICON "${BUILD}\keytray.ico"
!define MUI_HEADERIMAGE
!define MUI_HEADERIMAGE_RIGHT
!define MUI_HEADERIMAGE_BITMAP "${BUILD}\head.bmp"
!define MUI_HEADERIMAGE_UNBITMAP "${BUILD}\head.bmp"
!define MUI_WELCOMEFINISHPAGE_BITMAP "${BUILD}\side.bmp"
!define MUI_COMPONENTSPAGE_SMALLDESC
!define MUI_ABORTWARNING
!define MUI_LICENSEPAGE_TEXT_BOTTOM "$(free)"
!define MUI_LICENSEPAGE_BUTTON "$(^NextBtn)"
!insertmacro MUI_PAGE_LICENSE "${BUILD}\LICENSE.txt"
!insertmacro MUI_PAGE_COMPONENTS
!define MUI_PAGE_CUSTOMFUNCTION_PRE onlyFirst
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!define MUI_FINISHPAGE_TEXT "$(done)"
!define MUI_FINISHPAGE_TEXT_LARGE
!define MUI_FINISHPAGE_RUN "$INSTDIR\keytray-tray.exe"
!define MUI_FINISHPAGE_RUN_TEXT "$(start)"
!define MUI_FINISHPAGE_LINK "$(read)"
!define MUI_FINISHPAGE_LINK_LOCATION "${HOME}#readme"
!define MUI_FINISHPAGE_NOREBOOTSUPPORT
!define MUI_PAGE_CUSTOMFUNCTION_SHOW finishShown
!insertmacro MUI_PAGE_FINISH
!define MUI_UNCONFIRMPAGE_TEXT_TOP "$(stay)"
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "Japanese"

VIProductVersion "${NUMBER}"
!macro About LANG
  VIAddVersionKey /LANG=${LANG} ProductName "Keytray"
  VIAddVersionKey /LANG=${LANG} CompanyName "The Keytray authors"
  VIAddVersionKey /LANG=${LANG} LegalCopyright "MIT License"
  VIAddVersionKey /LANG=${LANG} FileDescription "Keytray Setup"
  VIAddVersionKey /LANG=${LANG} FileVersion "${VERSION}"
  VIAddVersionKey /LANG=${LANG} ProductVersion "${VERSION}"
!macroend
!insertmacro About ${LANG_ENGLISH}
!insertmacro About ${LANG_JAPANESE}

!macro Text NAME ENGLISH JAPANESE
  LangString ${NAME} ${LANG_ENGLISH} "${ENGLISH}"
  LangString ${NAME} ${LANG_JAPANESE} "${JAPANESE}"
!macroend
!insertmacro Text free "Keytray is free software under these terms." "Keytray はこの条件のもとで使える自由なソフトウェアです。"
!insertmacro Text programs "Keytray" "Keytray 本体"
!insertmacro Text programsMore "The tray, the command, and the names by which Git and Docker find it." "トレイアプリとコマンド、および Git と Docker が使う別名です。"
!insertmacro Text path "Find keytray in every terminal" "どのターミナルからも keytray を使う"
!insertmacro Text pathMore "Adds the folder to your PATH. A terminal that is open has to be opened again." "フォルダーを PATH に追加します。開いているターミナルは開き直してください。"
!insertmacro Text autostart "Start at sign-in" "サインイン時に起動"
!insertmacro Text autostartMore "The tray keeps logins fresh from then on. Its menu has the same setting." "トレイがログインを更新し続けます。メニューからも変更できます。"
!insertmacro Text done "Keytray is installed. Its key is in the notification area beside the clock: click it to sign in.$\r$\n$\r$\nIn a new terminal, keytray --help tells what else there is." "Keytray をインストールしました。時計の横の通知領域にある鍵のアイコンをクリックしてサインインします。$\r$\n$\r$\nコマンドの使い方: 新しいターミナルで keytray --help"
!insertmacro Text start "Start Keytray now" "Keytray を今すぐ起動"
!insertmacro Text read "How to begin" "はじめに(英語)"
!insertmacro Text stay "Your logins stay: in the Windows Credential Manager, and what describes them in $LOCALAPPDATA\keytray. To end one and remove it, run keytray logout before you go on." "ログインは Windows 資格情報マネージャーに残り、その一覧は $LOCALAPPDATA\keytray に残ります。削除するには、続ける前に keytray logout を実行してください。"
!insertmacro Text waiting "Waiting for Keytray to finish what it is doing ..." "Keytray の処理が終わるのを待っています..."
!insertmacro Text busy "Another setup of Keytray is running." "別の Keytray セットアップが実行中です。"
!insertmacro Text newer "A newer Keytray is installed, version $1. Put ${VERSION} in its place?" "新しいバージョン $1 がインストールされています。${VERSION} に置き換えますか?"
!insertmacro Text stuck "The files in $INSTDIR cannot be replaced. End what uses them and try again." "$INSTDIR のファイルを置き換えられません。使用中のプログラムを終了して、もう一度お試しください。"

Var traySeen  ; 1 if the tray ran, in this session
Var watchSeen ; 1 if a `keytray watch` did
Var alone     ; what keeps another setup out
Var upgrade   ; the folder in which a Keytray is, or nothing

; Leave asks the programs that stay under a name to end, and waits for them: each
; has an event of that name, which is gone with the last of them (Resident in
; cmd/setup). What they have sent is finished first. Nobody is killed: who is not
; done after a minute goes on with the old file, which Aside moves.
!macro Leave NAME SEEN
  StrCpy ${SEEN} 0
  System::Call 'kernel32::OpenEventW(i 0x100002, i 0, w "Local\io.github.keytray.leave.${NAME}") p.r0'
  ${If} $0 != 0
    StrCpy ${SEEN} 1
    DetailPrint "$(waiting)"
    System::Call 'kernel32::SetEvent(p r0)'
    System::Call 'kernel32::CloseHandle(p r0)'
    StrCpy $2 0
    ${Do}
      Sleep 100
      IntOp $2 $2 + 1
      System::Call 'kernel32::OpenEventW(i 0x100002, i 0, w "Local\io.github.keytray.leave.${NAME}") p.r0'
      ${If} $0 = 0
        ${Break}
      ${EndIf}
      ${If} $2 >= 600
        System::Call 'kernel32::ResetEvent(p r0)' ; or the next one that comes would leave at once
      ${EndIf}
      System::Call 'kernel32::CloseHandle(p r0)'
    ${LoopUntil} $2 >= 600
  ${EndIf}
!macroend

; Aside makes room for a file that may be running: a command that a tool has just
; started, or one that lends a token to a program, keeps its own until it ends.
!macro Aside NAME
  ${If} ${FileExists} "$INSTDIR\${NAME}"
    ClearErrors
    Delete "$INSTDIR\${NAME}"
    ${If} ${Errors}
      System::Call 'kernel32::GetTickCount() i.r0'
      Rename "$INSTDIR\${NAME}" "$INSTDIR\${OLD}$0-${NAME}"
    ${EndIf}
  ${EndIf}
!macroend

!macro AsideAll
  Delete "$INSTDIR\${OLD}*"
  !insertmacro Aside keytray.exe
  !insertmacro Aside keytray-tray.exe
  !insertmacro Aside docker-credential-keytray.exe
  !insertmacro Aside git-credential-keytray.exe
  DeleteRegValue HKCU "${ONCE}" "Keytray old files"
  ${If} ${FileExists} "$INSTDIR\${OLD}*"
    WriteRegStr HKCU "${ONCE}" "Keytray old files" `$SYSDIR\cmd.exe /d /c del /q "$INSTDIR\${OLD}*" & rd "$INSTDIR"`
  ${EndIf}
!macroend

; Link gives the command another name without another 15 MB. Where the file system
; has no hard links it gets them.
!macro Link NAME
  System::Call 'kernel32::CreateHardLinkW(w "$INSTDIR\${NAME}", w "$INSTDIR\keytray.exe", p 0) i.r0'
  ${If} $0 = 0
    CopyFiles /SILENT "$INSTDIR\keytray.exe" "$INSTDIR\${NAME}"
  ${EndIf}
!macroend

; Path has the command change the user's PATH, and tells Explorer, for the
; terminals that it opens from now on.
!macro Path COMMAND
  nsExec::Exec '"$INSTDIR\keytray.exe" ${COMMAND} "$INSTDIR"'
  Pop $0
  SendMessage ${HWND_BROADCAST} ${WM_SETTINGCHANGE} 0 "STR:Environment" /TIMEOUT=2000
!macroend

Section "$(programs)" Main
  SectionIn RO
  !insertmacro Leave tray $traySeen
  !insertmacro Leave watch $watchSeen
  ${If} $upgrade != ""
  ${AndIf} $upgrade != $INSTDIR ; it moves
  ${AndIf} ${FileExists} "$upgrade\uninstall.exe"
    System::Call 'kernel32::CloseHandle(p $alone)' ; or the uninstaller would not begin
    ExecWait '"$upgrade\uninstall.exe" /S _?=$upgrade'
    Delete "$upgrade\uninstall.exe"
    RMDir "$upgrade"
  ${EndIf}
  SetOutPath "$INSTDIR"
  !insertmacro AsideAll
  ClearErrors
  File "${BUILD}\keytray.exe"
  File "${BUILD}\keytray-tray.exe"
  File "${BUILD}\LICENSE.txt"
  File "${BUILD}\THIRD_PARTY_LICENSES.txt"
  ${If} ${Errors}
    SetErrorLevel 2
    Abort "$(stuck)"
  ${EndIf}
  !insertmacro Link docker-credential-keytray.exe
  !insertmacro Link git-credential-keytray.exe
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortcut "$SMPROGRAMS\Keytray.lnk" "$INSTDIR\keytray-tray.exe"
  WriteRegStr HKCU "Software\Keytray" "InstallDir" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayName" "Keytray"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayIcon" "$INSTDIR\keytray-tray.exe"
  WriteRegStr HKCU "${UNINSTALL}" "Publisher" "The Keytray authors"
  WriteRegStr HKCU "${UNINSTALL}" "URLInfoAbout" "${HOME}"
  WriteRegStr HKCU "${UNINSTALL}" "HelpLink" "${HOME}/issues"
  WriteRegStr HKCU "${UNINSTALL}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL}" "NoRepair" 1
  WriteRegDWORD HKCU "${UNINSTALL}" "EstimatedSize" ${SIZE}
SectionEnd

Section "$(path)" InPath
SectionEnd

Section /o "$(autostart)" Autostart
SectionEnd

; What was chosen, and what was not any more.
Section
  ${If} ${SectionIsSelected} ${InPath}
    !insertmacro Path __path-add
  ${Else}
    !insertmacro Path __path-remove
    WriteRegDWORD HKCU "Software\Keytray" "NoPath" 1
  ${EndIf}
  ${If} ${SectionIsSelected} ${InPath}
    DeleteRegValue HKCU "Software\Keytray" "NoPath"
  ${EndIf}
  ReadRegStr $0 HKCU "${RUN}" "Keytray"
  ${If} ${SectionIsSelected} ${Autostart}
    ${If} $0 != '"$INSTDIR\keytray-tray.exe"'
      WriteRegStr HKCU "${RUN}" "Keytray" '"$INSTDIR\keytray-tray.exe"'
      DeleteRegValue HKCU "${APPROVED}" "Keytray" ; the note of Task Manager that it is off
    ${EndIf}
  ${Else}
    DeleteRegValue HKCU "${RUN}" "Keytray"
  ${EndIf}
  ${If} $traySeen = 1
    Exec '"$INSTDIR\keytray-tray.exe"'
  ${EndIf}
SectionEnd

!insertmacro MUI_FUNCTION_DESCRIPTION_BEGIN
  !insertmacro MUI_DESCRIPTION_TEXT ${Main} "$(programsMore)"
  !insertmacro MUI_DESCRIPTION_TEXT ${InPath} "$(pathMore)"
  !insertmacro MUI_DESCRIPTION_TEXT ${Autostart} "$(autostartMore)"
!insertmacro MUI_FUNCTION_DESCRIPTION_END

; Alone ends a setup beside another one.
!macro Alone
  System::Call 'kernel32::CreateMutexW(p 0, i 0, w "Local\io.github.keytray.setup") p.r1 ?e'
  Pop $0
  StrCpy $alone $1
  ${If} $0 = 183 ; ERROR_ALREADY_EXISTS
    MessageBox MB_OK|MB_ICONEXCLAMATION "$(busy)" /SD IDOK
    SetErrorLevel 3
    Abort
  ${EndIf}
!macroend

Function .onInit
  !insertmacro Alone
  ReadRegStr $upgrade HKCU "Software\Keytray" "InstallDir"
  ReadRegStr $1 HKCU "${UNINSTALL}" "DisplayVersion"
  ${If} $1 != ""
    ${VersionCompare} $1 "${VERSION}" $0
    ${If} $0 = 1
      MessageBox MB_YESNO|MB_ICONQUESTION "$(newer)" /SD IDYES IDYES +2
      Abort
    ${EndIf}
  ${EndIf}
  ReadRegStr $0 HKCU "${RUN}" "Keytray"
  ${If} $0 != ""
    !insertmacro SelectSection ${Autostart}
  ${EndIf}
  ReadRegDWORD $0 HKCU "Software\Keytray" "NoPath"
  ${If} $0 = 1
    !insertmacro UnselectSection ${InPath}
  ${EndIf}
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/AUTOSTART" $1
  ${IfNot} ${Errors}
    !insertmacro SelectSection ${Autostart}
  ${EndIf}
  ClearErrors
  ${GetOptions} $0 "/NOPATH" $1
  ${IfNot} ${Errors}
    !insertmacro UnselectSection ${InPath}
  ${EndIf}
  ClearErrors
FunctionEnd

; The page of the folder is for the first time.
Function onlyFirst
  ${If} $upgrade != ""
    Abort
  ${EndIf}
FunctionEnd

; A tray that ran before runs again already. Without its box the link would have the
; focus, and Return would open it.
Function finishShown
  ${If} $traySeen = 1
    SendMessage $mui.FinishPage.Run ${BM_SETCHECK} ${BST_UNCHECKED} 0
    ShowWindow $mui.FinishPage.Run ${SW_HIDE}
    GetDlgItem $0 $HWNDPARENT 1
    SendMessage $HWNDPARENT ${WM_NEXTDLGCTL} $0 1
  ${EndIf}
FunctionEnd

Function un.onInit
  !insertmacro Alone
FunctionEnd

Section Uninstall
  !insertmacro Leave tray $traySeen
  !insertmacro Leave watch $watchSeen
  !insertmacro Path __path-remove
  !insertmacro AsideAll
  Delete "$INSTDIR\LICENSE.txt"
  Delete "$INSTDIR\THIRD_PARTY_LICENSES.txt"
  Delete "$INSTDIR\uninstall.exe"
  Delete "$SMPROGRAMS\Keytray.lnk"
  SetOutPath "$TEMP" ; or the folder is in use
  RMDir "$INSTDIR"
  ReadRegStr $0 HKCU "${RUN}" "Keytray"
  ${If} $0 == '"$INSTDIR\keytray-tray.exe"'
    DeleteRegValue HKCU "${RUN}" "Keytray"
    DeleteRegValue HKCU "${APPROVED}" "Keytray"
  ${EndIf}
  DeleteRegKey HKCU "Software\Classes\AppUserModelId\Keytray" ; of the tray's notifications
  DeleteRegKey HKCU "${UNINSTALL}"
  DeleteRegKey HKCU "Software\Keytray"
SectionEnd
