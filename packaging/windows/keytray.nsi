; The installer for Windows: for one user, without administrator's rights.
;
;   makensis -DVERSION=1.2.3 -DNUMBER=1.2.3.0 -DBUILD=folder -DOUT=file keytray.nsi
;
;   keytray-setup.exe /S [/AUTOSTART] [/D=C:\folder]   installs or upgrades, silently
;   uninstall.exe /S                                   removes it; logins stay

Unicode true
!ifdef TARGET
  Target ${TARGET} ; amd64-unicode for Wine that has no 32-bit part
!endif
!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include Sections.nsh

Name "Keytray"
OutFile "${OUT}"
RequestExecutionLevel user
InstallDir "$LOCALAPPDATA\Programs\Keytray"
InstallDirRegKey HKCU "Software\Keytray" "InstallDir"
SetCompressor /SOLID lzma
ShowInstDetails nevershow
ShowUninstDetails nevershow

VIProductVersion "${NUMBER}"
VIAddVersionKey ProductName "Keytray"
VIAddVersionKey CompanyName "The Keytray authors"
VIAddVersionKey LegalCopyright "MIT License"
VIAddVersionKey FileDescription "Keytray Setup"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey ProductVersion "${VERSION}"

!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\Keytray"
!define RUN "Software\Microsoft\Windows\CurrentVersion\Run"

!define MUI_ICON "${BUILD}\keytray.ico"
!define MUI_UNICON "${BUILD}\keytray.ico"
!define MUI_FINISHPAGE_RUN "$INSTDIR\keytray-tray.exe"
!insertmacro MUI_PAGE_COMPONENTS
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "Japanese"

; QuitTray asks the tray that was started from $INSTDIR to end, and waits for it,
; at most 30 s: it finishes what it has sent. $R0 is 1 if there was one.
; Other programs have windows of that class too, so the program's path decides.
!macro QuitTray un
Function ${un}QuitTray
  Push $0
  Push $1
  Push $2
  Push $3
  Push $4
  StrCpy $R0 0
  StrCpy $0 0
  next:
    System::Call 'user32::FindWindowExW(p 0, p $0, w "SystrayClass", p 0) p.r0'
    StrCmp $0 0 done
    System::Call 'user32::GetWindowThreadProcessId(p r0, *i .r1)'
    System::Call 'kernel32::OpenProcess(i 0x101000, i 0, i r1) p.r2' ; SYNCHRONIZE and PROCESS_QUERY_LIMITED_INFORMATION
    StrCmp $2 0 next
    System::Call 'kernel32::QueryFullProcessImageNameW(p r2, i 0, w .r3, *i ${NSIS_MAX_STRLEN} .r4) i.r4'
    StrCmp $3 "$INSTDIR\keytray-tray.exe" 0 other
    StrCpy $R0 1
    System::Call 'user32::PostMessageW(p r0, i 0x10, p 0, p 0)' ; WM_CLOSE
    System::Call 'kernel32::WaitForSingleObject(p r2, i 30000)'
    System::Call 'kernel32::CloseHandle(p r2)'
    StrCpy $0 0
    Goto done
  other:
    System::Call 'kernel32::CloseHandle(p r2)'
    Goto next
  done:
  Pop $4
  Pop $3
  Pop $2
  Pop $1
  Pop $0
FunctionEnd
!macroend
!insertmacro QuitTray ""
!insertmacro QuitTray "un."

; Aside makes room for a file that may be running: a worker that is at work, or a
; command that a tool has just started, keeps its own until it ends.
!macro Aside NAME
  Delete "$INSTDIR\${NAME}.old"
  ClearErrors
  Delete "$INSTDIR\${NAME}"
  ${If} ${FileExists} "$INSTDIR\${NAME}"
    Rename "$INSTDIR\${NAME}" "$INSTDIR\${NAME}.old"
    Delete /REBOOTOK "$INSTDIR\${NAME}.old"
  ${EndIf}
!macroend

; Link gives the command another name without a second copy of it.
!macro Link NAME
  System::Call 'kernel32::CreateHardLinkW(w "$INSTDIR\${NAME}", w "$INSTDIR\keytray.exe", p 0) i.r0'
  ${If} $0 = 0
    CopyFiles /SILENT "$INSTDIR\keytray.exe" "$INSTDIR\${NAME}"
  ${EndIf}
!macroend

; Path adds $INSTDIR to the user's PATH, or takes it out. It is done by PowerShell,
; because a string of this installer would cut a long PATH short.
!macro Path CHANGE
  nsExec::Exec `powershell -NoProfile -NonInteractive -Command "$$d='$INSTDIR'; $$p=@([Environment]::GetEnvironmentVariable('Path','User') -split ';' | Where-Object {$$_ -and $$_ -ne $$d}); ${CHANGE}[Environment]::SetEnvironmentVariable('Path', ($$p -join ';'), 'User')"`
  Pop $0
!macroend

Section "Keytray" Main
  SectionIn RO
  Call QuitTray
  SetOutPath "$INSTDIR"
  !insertmacro Aside keytray.exe
  !insertmacro Aside keytray-tray.exe
  !insertmacro Aside docker-credential-keytray.exe
  !insertmacro Aside git-credential-keytray.exe
  ClearErrors
  File "${BUILD}\keytray.exe"
  File "${BUILD}\keytray-tray.exe"
  File "${BUILD}\LICENSE.txt"
  File "${BUILD}\THIRD_PARTY_LICENSES.txt"
  ${If} ${Errors}
    SetErrorLevel 2
    Abort "The files in $INSTDIR could not be replaced. End Keytray and try again."
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
  WriteRegStr HKCU "${UNINSTALL}" "URLInfoAbout" "https://github.com/keytray/keytray"
  WriteRegStr HKCU "${UNINSTALL}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL}" "NoRepair" 1
  ${GetSize} "$INSTDIR" "/S=0K" $0 $1 $2
  WriteRegDWORD HKCU "${UNINSTALL}" "EstimatedSize" $0
  ${If} $R0 = 1 ; it ran before: it runs again
    Exec '"$INSTDIR\keytray-tray.exe"'
  ${EndIf}
SectionEnd

Section "Find keytray in every terminal (PATH)" InPath
  !insertmacro Path "$$p+=$$d; "
SectionEnd

Section /o "Start Keytray at sign-in" Autostart
  WriteRegStr HKCU "${RUN}" "Keytray" '"$INSTDIR\keytray-tray.exe"'
SectionEnd

Function .onInit
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/AUTOSTART" $1
  ${IfNot} ${Errors}
    !insertmacro SelectSection ${Autostart}
  ${EndIf}
FunctionEnd

Section Uninstall
  Call un.QuitTray
  !insertmacro Aside keytray.exe
  !insertmacro Aside keytray-tray.exe
  !insertmacro Aside docker-credential-keytray.exe
  !insertmacro Aside git-credential-keytray.exe
  Delete "$INSTDIR\LICENSE.txt"
  Delete "$INSTDIR\THIRD_PARTY_LICENSES.txt"
  Delete "$INSTDIR\uninstall.exe"
  Delete "$SMPROGRAMS\Keytray.lnk"
  RMDir "$INSTDIR"
  !insertmacro Path ""
  ReadRegStr $0 HKCU "${RUN}" "Keytray"
  ${If} $0 == '"$INSTDIR\keytray-tray.exe"'
    DeleteRegValue HKCU "${RUN}" "Keytray"
  ${EndIf}
  DeleteRegKey HKCU "${UNINSTALL}"
  DeleteRegKey HKCU "Software\Keytray"
  ${IfNot} ${Silent}
    MessageBox MB_OK|MB_ICONINFORMATION "Keytray is removed. Your logins stay in the Windows Credential Manager, as Generic Credentials whose names begin with keytray, and what describes them in $LOCALAPPDATA\keytray."
  ${EndIf}
SectionEnd
